"""Ways to a broker.

:mod:`~allye_protocol.transport.base` says what a transport is. :mod:`~allye_protocol.transport.memory` is a broker inside the
process, :mod:`~allye_protocol.transport.paho` speaks MQTT over the network and needs the extra ``mqtt``.
"""
