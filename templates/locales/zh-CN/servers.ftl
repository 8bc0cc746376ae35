# 多台服务器共用一个数据库。
error-other-server = 设备消息目前由另一台服务器接收。
system-attention-no-holder = 目前没有服务器在接收设备消息。只要数据库可以连通，10 秒内会有一台接手。
system-attention-not-alone = 本服务器使用内置消息代理，却有另一台服务器连着同一个数据库：请停掉其中一台，或让两台都改用同一个外部代理。
system-attention-sessions = 各服务器的 mqtt.client_id 不一致：代理为其中一台保留的消息，另一台接手后收不到。请改成相同的值。
system-broker-waits = 设备消息由另一台服务器接收，本服务器待命。
system-servers = 服务器
system-servers-lead = 这些服务器共用一个数据库：其中一台接收设备消息，页面、通知和定时任务各台都能处理。
system-servers-server = 服务器
system-servers-seen = 距上次心跳
system-servers-ingest = 接收设备消息
system-servers-standby = 待命
system-servers-here = 当前
system-servers-now = 不到 1 秒
system-servers-lease = 当前租约 { $n } 毫秒前续期，起始于
