# 消息代理：限速与接入
system-attention-loud = 设备 { $serial } 发送过于频繁：最近一分钟有 { $delayed } 条消息被延后处理，其他设备不受影响。请检查该设备。
system-attention-loud-dropped = 设备 { $serial } 发送过于频繁：最近一分钟延后 { $delayed } 条、丢弃 { $dropped } 条测量数据（QoS 0），其他设备不受影响。请检查该设备。
system-broker-delayed = 因超出限速延后 { $n } 条消息。
system-broker-dropped = 因超出限速丢弃 { $n } 条测量数据。
system-broker-turned-away = 关闭未登录的连接 { $n } 个。
