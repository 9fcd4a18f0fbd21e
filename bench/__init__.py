"""Side-by-side measurement of egtunnel and its peers on one machine; run it as ``python -m bench``."""
