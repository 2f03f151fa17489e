"""Everything on one machine: which processes there are, who watches over them, and `order-manager up`."""

from order_manager.fleet.plan import FleetPlan, plan_fleet
from order_manager.fleet.programs import FleetError, Program
from order_manager.fleet.running import Fleet
from order_manager.fleet.up import run_fleet, up

__all__ = ["Fleet", "FleetError", "FleetPlan", "Program", "plan_fleet", "run_fleet", "up"]
