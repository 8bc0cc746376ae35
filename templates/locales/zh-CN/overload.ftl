# 磁盘空间、证书更换、设备消息过多
error-no-room = 数据库所在磁盘空间不足，这次没有保存。请稍后再试，并通知系统管理员。
system-attention-disk-low = 数据库所在磁盘只剩 { $n } MiB，请清理或扩容。
system-attention-disk-short = 数据库所在磁盘空间不足：测量数据照常用于告警判断，但不存入历史记录（启动以来 { $n } 条消息）。紧急呼叫和人工操作照常保存。请立即清理或扩容。
system-attention-certificate = 新的证书文件无法使用，仍在使用原来的证书。原因见服务器日志；请检查证书与私钥文件。
system-attention-loud-left-out = 设备 { $serial } 发送过于频繁：最近一两分钟有 { $n } 条消息未予保存（紧急呼叫除外），其他设备不受影响。请检查该设备。
system-broker-left-out = 因超出限速未保存 { $n } 条消息。
kernel-system-disk = 磁盘可用空间
kernel-system-disk-free = { $n } MiB
kernel-system-disk-unknown = 未测量（由数据库服务器管理）
kernel-system-disk-plenty = 充足
kernel-system-disk-low = 偏低
kernel-system-disk-short = 不足
incidents-system-disk-low = 数据库所在磁盘只剩 { $n } MiB。请系统管理员清理或扩容，以免影响数据保存。
incidents-system-disk-short = 数据库所在磁盘空间不足：测量数据照常用于告警判断，但暂不存入历史记录；紧急呼叫和人工操作照常保存。请系统管理员立即清理或扩容。
incidents-system-certificate = 新的证书文件无法使用，服务器仍在使用原来的证书。请系统管理员检查证书与私钥文件，原因见服务器日志。
incidents-system-device-flood = 设备消息过多：最近一两分钟超出限速 { $n } 条。紧急呼叫照常处理，其他设备不受影响。请检查该设备，必要时更换。
