"""`python -m agent` is `kentongan`."""

import sys

from agent.cli import main

sys.exit(main())
