"""The demo: a broker, the cloud and several devices with simulated batteries on one machine."""
