# Several servers on one database.
error-other-server = Another server takes device messages now.
system-attention-no-holder = No server takes device messages at the moment. One does within 10 seconds while the database can be reached.
system-attention-not-alone = Another server runs on this database although this one has the embedded broker: stop one of them, or give both the same external broker.
system-attention-sessions = The servers have different values of mqtt.client_id: messages that the broker keeps for one do not reach the next. Give all of them the same.
system-broker-waits = Another server takes device messages; this one stands by.
system-servers = Servers
system-servers-lead = They share this database. One takes device messages; all serve pages, notifications and timers.
system-servers-server = Server
system-servers-seen = Since its last sign of life
system-servers-ingest = Takes device messages
system-servers-standby = Stands by
system-servers-here = this one
system-servers-now = under a second
system-servers-lease = Lease renewed { $n } ms ago, held since
