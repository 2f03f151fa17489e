"""Tests of the order manager; the folders mirror order_manager/."""
