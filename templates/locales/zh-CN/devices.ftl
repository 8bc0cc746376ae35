# 设备、观测与隔离区

## 菜单
devices-menu-devices = 设备
devices-menu-quarantine = 设备隔离区

## 设备
devices-devices = 设备
devices-caption = 设备列表
devices-register = 登记设备
devices-search-label = 名称、序列号或位置
devices-class = 类别
devices-where = 位置与老人
devices-unbound = 未绑定
devices-never = 从未
devices-last-seen = 最近通信
devices-first-seen = 首次出现
devices-battery = 电量
devices-online = 在线
devices-offline = 离线
devices-registered = 登记时间
devices-serial = 序列号
devices-serial-hint = 印在设备上，只含字母、数字和连字符
devices-name-hint = 护理员听得懂的名字，例如：卫生间拉绳
devices-choose = 请选择
devices-empty = 还没有登记设备
devices-empty-text = 登记设备后会得到它连接用的凭据。
devices-no-match = 没有符合条件的设备
devices-no-match-text = 请检查名称或序列号。
devices-filter-online = 在线
devices-filter-offline = 离线
devices-filter-low-battery = 电量低
devices-filter-unbound = 未绑定
devices-figure-total = 设备
devices-figure-online = 在线
devices-figure-low-battery = 电量低
devices-figure-quarantine = 隔离中
devices-quarantined-n = 隔离区有 { $n } 台未登记的设备

## 类别（智慧健康养老产品目录）
devices-class-1-1 = 可穿戴健康设备
devices-class-1-2 = 健康监测设备
devices-class-1-3 = 家庭医生随访设备
devices-class-1-4 = 社区自助健康检测
devices-class-2 = 老年辅助器具
devices-class-4 = 中医诊疗设备
devices-class-5 = 家庭服务机器人
devices-class-6 = 适老化产品

## 状态与观测
devices-state = 最新状态
devices-state-none = 还没有收到数据
devices-observations = 最近观测
devices-observations-none = 还没有收到观测
devices-older = 更早的观测
devices-what = 内容
devices-value = 数值
devices-quality = 质量
devices-quality-no_reading = 无读数
devices-adapter = 接入方式
devices-dedupe = 去重键
devices-by = 操作人

## 测量值
devices-measure-heart_rate = 心率
devices-measure-resting_heart_rate = 静息心率
devices-measure-respiratory_rate = 呼吸
devices-measure-oxygen_saturation = 血氧
devices-measure-body_temperature = 体温
devices-measure-systolic_pressure = 收缩压
devices-measure-diastolic_pressure = 舒张压
devices-measure-blood_glucose = 血糖
devices-measure-body_weight = 体重
devices-measure-body_height = 身高
devices-measure-steps = 步数
devices-measure-room_temperature = 室温
devices-measure-humidity = 湿度
devices-measure-illuminance = 照度
devices-measure-co_ppm = 一氧化碳浓度
devices-measure-methane_lel = 燃气浓度
devices-measure-co2 = 二氧化碳
devices-measure-pm25 = PM2.5
devices-measure-battery_percent = 电量
devices-measure-battery_voltage = 电池电压
devices-measure-link_quality = 链路质量
devices-measure-signal_dbm = 信号强度

## 单位
devices-unit-per-minute = 次/分
devices-unit-percent = %
devices-unit-celsius = ℃
devices-unit-mmhg = mmHg
devices-unit-mmol-l = mmol/L
devices-unit-kg = kg
devices-unit-cm = cm
devices-unit-steps = 步
devices-unit-lux = lx
devices-unit-ppm = ppm
devices-unit-lel = %LEL
devices-unit-ug-m3 = µg/m³
devices-unit-mv = mV
devices-unit-dbm = dBm

## 事件
devices-event-sos = 一键呼叫
devices-event-fall = 跌倒
devices-event-smoke = 烟雾
devices-event-gas = 燃气泄漏
devices-event-co = 一氧化碳
devices-event-leak = 漏水
devices-event-door_open = 门打开
devices-event-door_close = 门关闭
devices-event-bed_exit = 离床
devices-event-bed_enter = 上床
devices-event-presence = 有人
devices-event-no_presence = 无人
devices-event-vibration = 震动
devices-event-tamper = 设备被拆动
devices-event-low_battery = 电量低
devices-event-test = 测试
devices-event-cleared = 恢复
devices-event-raised = 报警

## 绑定
devices-bindings = 绑定历史
devices-bindings-none = 还没有绑定过
devices-binding-now = 当前
devices-bind = 更改绑定
devices-bind-resident-hint = 随身设备绑定老人；房间设备可以不选

## 凭据
devices-credential = 连接凭据
devices-credential-of = { $name } 的连接凭据
devices-credential-text = 凭据只在生成时显示一次。遗失后请重新生成。
devices-credential-none = 尚未生成
devices-credential-new = 生成新凭据
devices-credential-confirm = 旧凭据会立即失效，设备将断开。确定生成新凭据吗？
devices-credential-once = 凭据只显示这一次
devices-credential-once-text = 请现在写入设备或抄录保存。离开此页后无法再次查看。
devices-credential-replaced = 旧凭据已失效。
devices-credential-done = 已保存，返回设备
devices-issued = 生成时间
devices-last-used = 最近使用
devices-connect = 连接参数
devices-broker = 消息代理
devices-client-id = 客户端标识
devices-topic = 主题

## 网关
devices-gateway = 网关
devices-gateway-name = 网关内名称
devices-gateway-members = 网关下的设备
devices-base-topic = 根主题
devices-model = 型号
devices-call-actions = 按键呼叫
devices-call-actions-text = 名称就是求助的按键动作（emergency、panic、sos）总是呼叫。普通按键要在这里写明哪些动作算呼叫。
devices-call-actions-label = 算作呼叫的动作
devices-call-actions-hint = 用空格分隔，例如：single double hold
devices-error-actions = 请用空格分隔动作名称，每个只含字母、数字、下划线和连字符，最多 20 个
devices-error-member-credential = 这台设备通过网关接入，没有自己的凭据

## 隔离区
devices-quarantine-lead = 未登记的设备和无法识别的消息留在这里，不会自动关联到任何人。
devices-quarantine-empty = 隔离区是空的
devices-quarantine-empty-text = 收到的消息都来自已登记的设备。
devices-quarantine-emergency = 含紧急呼叫
devices-n-messages = { $n } 条消息
devices-dismiss = 忽略
devices-reason-unknown_device = 未登记的设备
devices-reason-registered_since = 已登记 · 登记前的消息
devices-reason-no_adapter = 没有对应的接入方式
devices-reason-undecodable = 无法识别的消息
devices-reason-refused = 无法保存的消息

## 错误
devices-error-serial-taken = 这个序列号已经登记
devices-error-no-limit = 请至少填写一个上限或下限
devices-error-limits-crossed = 上限必须大于下限
devices-error-serial-reserved = 以 { $prefix } 开头的名称由松鹤自己使用，请填写设备标签上的序列号
devices-error-serial = 请填写设备上的序列号，只含字母、数字、点、下划线和连字符
devices-error-class = 没有这个类别
devices-error-adapter = 没有这种接入方式
devices-error-place = 没有这个场所，或它属于其他机构
devices-error-resident = 没有这位老人，或属于其他机构
devices-error-measure = 没有这种测量值
devices-quality-ok = 有效
devices-quality-invalid = 不可信
devices-quality-late = 迟到
devices-class-3-1 = 安全监护设备
devices-class-3-2 = 智能护理设备
