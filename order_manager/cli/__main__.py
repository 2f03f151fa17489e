"""python -m order_manager.cli"""

from order_manager.cli import main

main(prog_name="order-manager")
