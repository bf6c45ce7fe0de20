// A picture goes to the server as JPEG, the class of every pixel comes back, and is painted over
// that same picture. One request at a time: while it is under way, newer frames are simply not
// taken, so that what is shown is never older than one answer.

const QUALITY = 0.85;            // of the JPEGs of a camera or video
const RATE_OVER = 2000;          // milliseconds over which frames per second are counted
const SAY_EVERY = 5000;          // milliseconds between two sentences for screen readers
const TRY_AGAIN = 1000;          // milliseconds after a refusal

const $ = (id) => document.getElementById(id);
const view = $("view");
const photo = document.createElement("canvas");  // the frame that was sent
const paint = document.createElement("canvas");  // its classes as colours
const video = document.createElement("video");
video.muted = video.loop = video.playsInline = true;

// A name for this tab, which it keeps when the page is loaded again: else it would take two places.
function name() {
  const kept = sessionStorage.getItem("client");
  if (kept) return kept;
  const numbers = crypto.getRandomValues(new Uint32Array(4));
  const made = Array.from(numbers, (n) => n.toString(16).padStart(8, "0")).join("-");
  sessionStorage.setItem("client", made);
  return made;
}
const client = name();

let model = null;                // what /model.json says
let rows = [];                   // of the legend: {show, share, row}
let source = null;               // {file | null, live, end}: what is shown now
let seen = null;                 // the last answer: {facts, map}
let answered = [];               // when the last answers came
let lastSaid = 0;

// ---- asking ------------------------------------------------------------------------------------

class Refused extends Error {}

async function ask(blob) {
  const started = performance.now();
  const reply = await fetch(`/frame?boxes=${$("boxes").checked ? 1 : 0}`, {
    method: "POST",
    headers: { "Content-Type": blob.type, "X-Client": client },
    body: blob,
  });
  if (!reply.ok) {
    const text = await reply.json().catch(() => ({ error: `status ${reply.status}` }));
    throw new Refused(text.error);
  }
  const body = await reply.arrayBuffer();
  const length = new DataView(body).getUint32(0, true);
  const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(body, 4, length)));
  facts.after = performance.now() - started;
  return { facts, map: new Uint8Array(body, 4 + length) };
}

// Draw a picture into `photo`, its longer side at most what is chosen; -> whether it was shrunk.
function grab(picture, width, height, most) {
  const scale = most ? Math.min(1, most / Math.max(width, height)) : 1;
  photo.width = Math.max(1, Math.round(width * scale));
  photo.height = Math.max(1, Math.round(height * scale));
  photo.getContext("2d").drawImage(picture, 0, 0, photo.width, photo.height);
  return scale < 1;
}

function encoded(quality) {
  return new Promise((done) => photo.toBlob(done, "image/jpeg", quality));
}

// ---- showing -----------------------------------------------------------------------------------

function colours() {
  const table = new Uint32Array(256);  // alpha, blue, green, red: as ImageData has them
  model.classes.forEach(({ colour: [r, g, b] }, k) => {
    const shown = rows[k] ? rows[k].show.checked : false;
    table[k] = shown ? ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0 : 0;
  });
  return table;
}

function draw() {
  if (!seen) return;
  const { facts, map } = seen;
  paint.width = facts.width;
  paint.height = facts.height;
  const pixels = new ImageData(facts.width, facts.height);
  const words = new Uint32Array(pixels.data.buffer);
  const table = colours();
  for (let i = 0; i < map.length; i++) words[i] = table[map[i]];
  paint.getContext("2d").putImageData(pixels, 0, 0);

  view.width = facts.width;
  view.height = facts.height;
  const pen = view.getContext("2d");
  pen.drawImage(photo, 0, 0, facts.width, facts.height);
  pen.globalAlpha = $("opacity").value / 100;
  pen.drawImage(paint, 0, 0);
  pen.globalAlpha = 1;
  if (!$("boxes").checked || !facts.boxes) return;
  const wanted = facts.boxes.filter((thing) => rows[thing.class]?.show.checked);
  wanted.forEach((thing) => box(pen, thing));
}

function box(pen, { class: k, box: [x, y, width, height], score }) {
  const { name, colour } = model.classes[k];
  const size = Math.max(11, Math.round(view.width / 36));
  const line = Math.max(2, Math.round(size / 6));
  const words = `${name} ${Math.round(100 * score)} %`;
  pen.strokeStyle = pen.fillStyle = `rgb(${colour.join(" ")})`;
  pen.lineWidth = line;
  pen.strokeRect(x + line / 2, y + line / 2, Math.max(1, width - line), Math.max(1, height - line));
  pen.font = `${size}px system-ui, sans-serif`;
  const left = Math.max(0, Math.min(x, view.width - pen.measureText(words).width - size));
  const top = Math.max(0, y - 1.35 * size);
  pen.fillRect(left, top, pen.measureText(words).width + size, 1.35 * size);
  const light = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] > 140;
  pen.fillStyle = light ? "#000" : "#fff";
  pen.fillText(words, left + size / 2, top + size);
}

function percent(share) {
  return share > 0 && share < 0.0005 ? "<0.1 %" : `${(100 * share).toFixed(1)} %`;
}

function tell(answer) {
  seen = answer;
  const { facts } = answer;
  const now = performance.now();
  answered = answered.filter((then) => now - then < RATE_OVER).concat(now);
  const span = now - answered[0];
  const rate = source && source.live && span > 0 ? (1000 * (answered.length - 1)) / span : null;
  $("rate").textContent = rate === null ? "\u2013" : rate.toFixed(1);
  $("network-time").textContent = (1000 * facts.seconds).toFixed(0);
  $("answer-time").textContent = facts.after.toFixed(0);
  rows.forEach((entry, k) => {
    if (!entry) return;
    entry.share.textContent = percent(facts.shares[k]);
    entry.row.className = facts.shares[k] ? "" : "absent";
  });
  draw();
  $("hint").hidden = true;
  trouble("");

  const largest = model.classes
    .map(({ name }, k) => [name, facts.shares[k]])
    .filter(([, share]) => share >= 0.0005)
    .sort((a, b) => b[1] - a[1])
    .slice(0, 4)
    .map(([name, share]) => `${name} ${percent(share)}`)
    .join(", ");
  view.setAttribute("aria-label", `Picture with classes: ${largest}`);
  if (now - lastSaid > SAY_EVERY || !source.live) {
    lastSaid = now;
    $("said").textContent = largest;
  }
}

function trouble(words) {
  const place = $("trouble");
  if (place.textContent !== words) place.textContent = words;
  place.hidden = !words;
}

function pointed(event) {
  let words = "";
  if (seen) {
    const frame = view.getBoundingClientRect();
    const { width, height } = seen.facts;
    const scale = Math.min(frame.width / width, frame.height / height);
    const x = Math.floor((event.clientX - frame.left - (frame.width - width * scale) / 2) / scale);
    const y = Math.floor((event.clientY - frame.top - (frame.height - height * scale) / 2) / scale);
    const inside = x >= 0 && y >= 0 && x < width && y < height;
    if (inside) words = `here: ${model.classes[seen.map[y * width + x]].name}`;
  }
  $("here").textContent = words;
}

// ---- sources -----------------------------------------------------------------------------------

function begin(next) {
  end();
  source = next;
  $("stop").disabled = !next.live;
  trouble("");
  return next;
}

function end() {
  if (source) source.end();
  source = null;
  answered = [];
  $("stop").disabled = true;
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// A frame of the video that was not sent yet: the one that came during the last request, else the
// next one. A hidden tab gets none, so that it asks nothing.
let fresh = false;
let wake = () => {};

function frameCame() {
  fresh = true;
  wake();
  awaitFrame();
}

function awaitFrame() {
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(frameCame);
  else requestAnimationFrame(frameCame);
}
awaitFrame();

async function newFrame() {
  if (!fresh) await new Promise((done) => (wake = done));
  fresh = false;
}

async function watch(mine) {
  while (source === mine) {
    await newFrame();
    if (source !== mine) return;
    if (!video.videoWidth) continue;
    grab(video, video.videoWidth, video.videoHeight, Number($("size").value));
    try {
      const answer = await ask(await encoded(QUALITY));
      if (source === mine) tell(answer);
    } catch (error) {
      if (source !== mine) return;
      const known = error instanceof Refused;
      trouble(known ? error.message : "The server does not answer; trying again.");
      await pause(TRY_AGAIN);
    }
  }
}

async function play(mine, name) {
  try {
    await video.play();
  } catch (error) {
    if (source !== mine) return;
    end();
    trouble(`${name} cannot be played: ${error.message}`);
    return;
  }
  watch(mine);
}

async function camera() {
  if (!navigator.mediaDevices) {
    trouble("The browser gives a camera only to pages on this machine (localhost) or over HTTPS.");
    return;
  }
  let stream;
  try {
    const video = { width: { ideal: 640 }, height: { ideal: 480 } };
    stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
  } catch (error) {
    trouble(`There is no camera for this page: ${error.message || error.name}`);
    return;
  }
  const mine = begin({
    live: true,
    end: () => {
      stream.getTracks().forEach((track) => track.stop());
      video.srcObject = null;
    },
  });
  video.srcObject = stream;
  play(mine, "The camera");
}

function film(file) {
  const address = URL.createObjectURL(file);
  const mine = begin({
    live: true,
    end: () => {
      video.pause();
      video.removeAttribute("src");
      URL.revokeObjectURL(address);
    },
  });
  video.src = address;
  play(mine, file.name);
}

// A photo goes as the file it is, if the server takes it so; otherwise as a smaller JPEG.
async function still(file) {
  const mine = begin({ live: false, file, end: () => {} });
  try {
    const picture = await createImageBitmap(file);
    if (source !== mine) return;
    const { upload, pixels } = model.limits;
    const { width, height } = picture;
    const longer = Math.max(width, height);
    const fits = Math.floor(Math.sqrt((pixels * longer) / Math.min(width, height)));
    const most = Math.min(Number($("size").value) || Infinity, fits);
    const shrunk = grab(picture, width, height, most);
    const known = ["image/jpeg", "image/png", "image/webp"].includes(file.type);
    const asItIs = !shrunk && known && file.size <= upload;
    const answer = await ask(asItIs ? file : await encoded(0.95));
    if (source === mine) tell(answer);
  } catch (error) {
    if (source !== mine) return;
    if (error instanceof Refused) trouble(error.message);
    else if (error instanceof TypeError) trouble("The server does not answer.");
    else trouble(`${file.name} is no picture that this browser knows.`);
  }
}

function open(file) {
  if (!file) return;
  if (file.type.startsWith("video/")) film(file);
  else if (file.type.startsWith("image/")) still(file);
  else trouble(`${file.name} is no photo and no video.`);
}

// ---- controls ----------------------------------------------------------------------------------

function legend() {
  rows = model.classes.map(({ name, colour, clear, void: nothing }) => {
    if (nothing) return null;
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    const label = document.createElement("label");
    const show = document.createElement("input");
    show.type = "checkbox";
    show.checked = !clear;
    show.addEventListener("change", draw);
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.backgroundColor = `rgb(${colour.join(" ")})`;
    label.append(show, swatch, name);
    head.append(label);
    const share = document.createElement("td");
    share.textContent = "\u2013";
    row.append(head, share);
    $("legend").append(row);
    return { show, share, row };
  });
}

function again() {
  if (source && source.file) still(source.file);
}

video.addEventListener("error", () => {
  if (!source || !video.error) return;
  end();
  trouble(`The video cannot be played: ${video.error.message || "this browser does not know it"}`);
});
$("camera").addEventListener("click", camera);
$("stop").addEventListener("click", end);
$("file").addEventListener("change", () => {
  open($("file").files[0]);
  $("file").value = "";  // so that the same file can be chosen again
});
$("opacity").addEventListener("input", () => {
  $("opacity-shown").textContent = `${$("opacity").value} %`;
  draw();
});
$("boxes").addEventListener("change", () => {
  again();
  draw();
});
$("size").addEventListener("change", again);
view.addEventListener("pointermove", pointed);
view.addEventListener("pointerleave", () => ($("here").textContent = ""));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("frame").classList.add("over");
});
document.addEventListener("dragleave", () => $("frame").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("frame").classList.remove("over");
  open(event.dataTransfer.files[0]);
});

try {
  model = await (await fetch("/model.json")).json();
  legend();
  const where = model.device === "cpu" ? "the CPU" : "the GPU";
  $("network").textContent = `${model.name} on ${where}, ${rows.filter(Boolean).length} classes`;
} catch {
  trouble("The server does not answer.");
}
