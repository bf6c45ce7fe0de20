"""The page for everyone: narrow windows, keys alone, screen readers, and no stranger's content."""

from __future__ import annotations

import numpy as np
import pytest

from tests.live.staging import scene, show, text


def test_the_page_may_load_nothing_from_elsewhere_and_run_nothing_inline(page):
    blocked = page.run("""(async () => {
        const found = [];
        document.addEventListener(
            "securitypolicyviolation", (event) => found.push(event.effectiveDirective));
        await fetch("http://127.0.0.2:9/").catch(() => 0);
        const image = new Image();
        image.src = "http://127.0.0.2:9/x.png";
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script, image);
        const button = document.createElement("button");
        button.setAttribute("onclick", "window.ran = true");
        document.body.append(button);
        button.click();
        await new Promise((resolve) => setTimeout(resolve, 200));
        return [...new Set(found)].sort().concat(window.ran ? ["ran"] : []);
    })()""")
    assert blocked == ["connect-src", "img-src", "script-src-attr", "script-src-elem"]


@pytest.mark.parametrize("width", [320, 375, 800, 1280])
def test_nothing_sticks_out_on_any_width(page, tmp_path, width):
    show(page, scene(300, 480)[0], tmp_path)
    page.size(width, 700)
    assert page.run("document.documentElement.scrollWidth") <= width
    small = page.run("""[...document.querySelectorAll("button, .button, select")]
        .filter((e) => e.getBoundingClientRect().height < 40).map((e) => e.id)""")
    assert small == [], "large enough for a finger"


def test_keys_alone_reach_and_move_everything(page):
    order = []
    for _ in range(7):
        page.press("Tab", 9)
        order.append(page.run("document.activeElement.id"))
    assert order == ["camera", "file", "opacity", "boxes", "size", "", ""]  # then the legend
    page.run("document.getElementById('opacity').focus()")
    for _ in range(3):
        page.press("ArrowRight", 39)
    assert text(page, "opacity-shown") == "58 %"
    page.run("document.getElementById('file').focus()")
    outline = "getComputedStyle(document.querySelector('.button')).outlineStyle"
    assert page.run(outline) == "solid", "who uses keys sees where they are"


def test_a_screen_reader_has_a_name_for_everything(page, tmp_path):
    show(page, scene()[0], tmp_path)
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = {"button", "slider", "checkbox", "combobox", "image", "heading"}
    found: dict[str, list[str]] = {}
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in named and not node.get("ignored"):
            name = node["name"]["value"]
            assert name, f"a {role} without a name"
            found.setdefault(role, []).append(name)
    assert "Boxes" in found["checkbox"] and "red thing" in found["checkbox"]
    assert found["slider"] == ["Colours"] and found["combobox"] == ["Longer side"]
    assert any("Camera" in name for name in found["button"])
    assert any("red thing" in name for name in found["image"])
    assert "red thing" in text(page, "said")


def test_contrast_of_words_is_enough(page):
    """WCAG 2.2, 1.4.3: at least 4.5 : 1, light and dark."""
    for dark in (False, True):
        page.size(1280, 800, dark=dark)
        style = page.run("""(() => {
            const of = (e, p) => getComputedStyle(document.querySelector(e))[p];
            return [[of("body", "color"), of("body", "backgroundColor")],
                    [of("#figures", "color"), of("body", "backgroundColor")],
                    [of("#camera", "color"), of("#camera", "backgroundColor")],
                    [of("#trouble", "color"), of("body", "backgroundColor")]];
        })()""")
        for front, back in style:
            light = sorted(luminance(colour) for colour in (front, back))
            assert (light[1] + 0.05) / (light[0] + 0.05) >= 4.5, (front, back)


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)" (WCAG 2.2)."""
    values = [int(value) / 255 for value in colour[4:-1].split(",")]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))
