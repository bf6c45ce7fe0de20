"""evaluate: Score a trained model on photos and masks.

All scores come from one confusion matrix over all pixels that are not void, at the masks' own size.
"""

from __future__ import annotations

import argparse
import json

from .common import GENERATED, add_device, check_device, open_predictor, open_split

EXAMPLES = """examples:
  minifcn evaluate demo hotdogs
  minifcn evaluate runs/camvid camvid/val
  minifcn evaluate runs/camvid camvid/val --json > scores.json
  minifcn evaluate espnet_p_2_q_8_camvid.pth camvid/val
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN DATA_SPLIT [--model NAME] [--json] [--device D]."""
    parser.add_argument(
        "run_folder", metavar="RUN", help="folder of a run, a model file, or weights of others"
    )
    parser.add_argument(
        "data", metavar="DATA_SPLIT", help="folder with images/ and labels/, or 'hotdogs'"
    )
    parser.add_argument(
        "--model", metavar="NAME", help="the network, if RUN does not tell (espnet)"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable, to standard output")
    add_device(parser, "where to compute")


def run(arguments: argparse.Namespace) -> int:
    """Predict, count, print."""
    from ..kernels.numpy_kernels.threads import num_threads
    from ..train.progress import Progress
    from ..train.recipe import evaluate
    from ..train.threads import cores

    check_device(arguments.device)
    predictor = open_predictor(arguments.run_folder, arguments.model, arguments.device)
    dataset = open_split(arguments.data, "val" if arguments.data == GENERATED else None)
    theirs, ours = dataset.classes.names, predictor.classes.names
    if [name.casefold() for name in theirs] != [name.casefold() for name in ours]:
        raise ValueError(
            f"{arguments.data} has the classes {', '.join(theirs)}, but {arguments.run_folder} was "
            f"trained on {', '.join(ours)}"
        )
    with Progress(len(dataset), "evaluate", unit="photo") as bar, num_threads(cores()):
        confusion = evaluate(predictor, dataset, bar)
    if arguments.json:
        print(json.dumps(confusion.as_dict(predictor.classes.scored), indent=1))
    else:
        print(confusion.table(predictor.classes.scored))
    return 0
