# Brokers: rates and sign-ins
system-attention-loud = Device { $serial } sends too much: { $delayed } of its messages had to wait in the last minute. Others are not affected. Look at the device.
system-attention-loud-dropped = Device { $serial } sends too much: { $delayed } of its messages had to wait in the last minute, and { $dropped } readings of QoS 0 were dropped. Others are not affected. Look at the device.
system-broker-delayed = Messages that waited because of a rate limit: { $n }.
system-broker-dropped = Readings dropped because of a rate limit: { $n }.
system-broker-turned-away = Connections closed before they signed in: { $n }.
