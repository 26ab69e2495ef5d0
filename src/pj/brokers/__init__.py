"""Carry orders to a broker: one port, one sender, routes beside each other."""
