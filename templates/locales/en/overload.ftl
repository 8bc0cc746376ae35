# Room on the disk, new certificates, devices that send too much
error-no-room = The disk of the database has no room left: this was not saved. Please try again later, and tell the system administrator.
system-attention-disk-low = The disk of the database has { $n } MiB left. Make room or enlarge it.
system-attention-disk-short = The disk of the database has no room left: readings are still judged for alarms, but not kept in the history ({ $n ->
    [one] one message
   *[other] { $n } messages
} since start). Calls for help and what people do are kept as ever. Make room or enlarge it now.
system-attention-certificate = New certificate files cannot be used: the certificate from before stays in use. The server's log tells why; look at the files of the certificate and its key.
system-attention-loud-left-out = Device { $serial } sends too much: { $n ->
    [one] one message
   *[other] { $n } messages
} of the last minute or two were not kept (calls for help are). Other devices are not affected. Look at the device.
system-broker-left-out = { $n ->
    [one] One message
   *[other] { $n } messages
} over the rate not kept.
kernel-system-disk = Free disk space
kernel-system-disk-free = { $n } MiB
kernel-system-disk-unknown = not measured (the database server's own)
kernel-system-disk-plenty = plenty
kernel-system-disk-low = low
kernel-system-disk-short = short
incidents-system-disk-low = The disk of the database has { $n } MiB left. The system administrator has to make room or enlarge it before nothing can be kept.
incidents-system-disk-short = The disk of the database has no room left: readings are still judged for alarms, but not kept in the history; calls for help and what people do are kept as ever. The system administrator has to make room or enlarge it now.
incidents-system-certificate = New certificate files cannot be used: the server still uses the certificate from before. The system administrator has to look at the files of the certificate and its key; the server's log tells why.
incidents-system-device-flood = The device sends too much: { $n ->
    [one] one message
   *[other] { $n } messages
} over its rate in the last minute or two. Calls for help are handled as ever, other devices are not affected. Look at the device, and replace it if need be.
