"""infer: what a trained network sees on images of any size, and pictures of it."""

from .boxes import draw_boxes as draw_boxes
from .coco import coco_results as coco_results
from .components import Components as Components
from .components import components as components
from .curve import loss_curve as loss_curve
from .heat import lay_over as lay_over
from .heat import with_scale as with_scale
from .legend import Entry as Entry
from .legend import with_legend as with_legend
from .locate import Located as Located
from .locate import Locator as Locator
from .locate import Spot as Spot
from .memory import measure_bytes_per_pixel as measure_bytes_per_pixel
from .overlay import background as background
from .overlay import figure as figure
from .overlay import overlay as overlay
from .overlay import shares as shares
from .panel import panel as panel
from .predict import Prediction as Prediction
from .predict import predict_image as predict_image
from .predictor import Predictor as Predictor
from .regions import Region as Region
from .regions import regions as regions
from .tiles import Winner as Winner
from .tiles import predict_classes as predict_classes
