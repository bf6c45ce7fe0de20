"""live: a local page that shows what a network sees through a camera, in a video, on a photo."""

from .refusal import Limits as Limits
from .server import Server as Server
