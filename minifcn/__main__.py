"""`python -m minifcn` is the `minifcn` command."""

import sys

from .cli import main

sys.exit(main())
