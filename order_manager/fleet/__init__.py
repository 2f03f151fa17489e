"""Everything on one machine: which processes there are, and who watches over them."""

from order_manager.fleet.plan import FleetPlan, plan_fleet
from order_manager.fleet.programs import FleetError, Program
from order_manager.fleet.running import Fleet

__all__ = ["Fleet", "FleetError", "FleetPlan", "Program", "plan_fleet"]
