"""What ``twistd --help`` shows of egtunnel."""

from twisted.application.service import ServiceMaker

egrelay = ServiceMaker("egtunnel relay", "egtunnel.relay.tap", "The public end of egtunnel: a relay.", "egrelay")
egclient = ServiceMaker("egtunnel client", "egtunnel.client.tap", "Gives local services a public address.", "egclient")
