# Changing an endpoint; why a message was not delivered; numbers of messages

## Changing one
outgoing-edit = Change
outgoing-edit-title = Change channel
outgoing-edit-lead = Kind and facility stay, and so does what was sent. Messages under way use the new settings from their next try on.
outgoing-kept-url = Now { $now }; the whole address is not shown. Left empty, it stays
outgoing-kept-secret = There is one; it is not shown. Left empty, it stays
outgoing-kept-headers = There are: { $names }. What you write replaces them all; left empty, they stay
outgoing-kept-body = There is one; it is not shown. Left empty, it stays
outgoing-forget-secret = Remove the signing secret that is there
outgoing-forget-headers = Remove the headers that are there
outgoing-error-other-host = The address is another host: fill this in again. What is there is never sent to another host
outgoing-switch-off = Switch off
outgoing-switch-on = Switch on
outgoing-switch-off-confirm = Switch this channel off? No ladder uses it then, and messages under way fail.
outgoing-off = This channel is switched off; no ladder uses it.
outgoing-secret-new = New signing secret
outgoing-secret-confirm = Draw a new signing secret? The former one counts no more at once; the receiver needs the new one.
outgoing-secret-shown = The new signing secret was shown before and is not shown again. If nobody kept it, draw another.
outgoing-error-no-secret = Only a signed webhook's secret is drawn here

## Why not delivered
outgoing-why-doubt = No answer came; it may have been delivered, and is sent once more
outgoing-why-doubt-twice = Sent twice without an answer; it may have been delivered, and is not sent again by itself
outgoing-why-off = The channel was removed or switched off
outgoing-why-no-mail-server = [mail] in the configuration names no mail server
outgoing-why-authority = The other side's certificate is by no trusted authority. For a mail server with a certificate of your own authority, give that authority as ca_file of [mail] in the configuration
outgoing-why-name = The other side's certificate is for another name
outgoing-why-expired = The other side's certificate has expired
outgoing-why-no-encryption = The other side does not encrypt; nothing was sent
outgoing-why-password = The mail server does not accept user name or password
outgoing-why-redirect = The other side points to another address; enter that one
outgoing-why-slow = The other side did not answer in time
outgoing-why-nobody-there = The other side refuses the connection; its service may not be running
outgoing-why-cut = The other side broke the connection off without an answer
outgoing-why-unknown-host = There is no server of that name; check the address and the network
incidents-delivery-doubt = May be delivered; sent once more
incidents-delivery-doubtful = May be delivered

## Numbers of messages
outgoing-number = {" "}[No. { $number }]
outgoing-number-again = {" "}[No. { $number }, sent again]
outgoing-number-label = No. { $number }
