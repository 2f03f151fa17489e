"""`python -m order_manager.paper`."""

import sys

from order_manager.paper.runner import main

if __name__ == "__main__":
    sys.exit(main())
