# 老人、场所、人员与排班

## 菜单
registry-menu-residents = 老人
registry-menu-places = 场所
registry-menu-rosters = 排班
registry-menu-staff = 人员

## 通用
registry-sex = 性别
registry-sex-male = 男
registry-sex-female = 女
registry-sex-unknown = 性别未填
registry-age = { $n } 岁
registry-name = 姓名
registry-born = 出生日期
registry-id-number = 身份证号
registry-id-number-hint = 编辑时留空表示不修改
registry-id-tail = 证件尾号
registry-phone = 电话
registry-place = 位置
registry-facility = 机构
registry-facility-show = 切换机构
registry-since = 入住或签约
registry-notes = 照护要点
registry-notes-hint = 用顿号分隔，会显示在告警板上，例如：独居、跌倒高风险
registry-health = 健康备注
registry-now = 此刻
registry-basics = 基本信息
registry-latest = 最新数据
registry-latest-none = 还没有收到数据
registry-devices = 设备
registry-no-devices = 没有绑定设备
registry-n-devices = { $n } 台设备
registry-recent-incidents = 最近的告警
registry-no-incidents = 没有告警记录
registry-open-incidents = { $n } 个告警

## 老人
registry-residents = 老人
registry-residents-caption = 老人名单
registry-resident-new = 登记老人
registry-resident-edit = 编辑老人信息
registry-residents-empty = 还没有登记老人
registry-residents-empty-text = 登记老人后，设备的呼叫才能显示是谁。
registry-residents-no-match = 没有符合条件的老人
registry-residents-no-match-text = 请检查姓名、拼音（全拼或首字母）、证件或电话的后 4 位或后 6 位，或卡号。
registry-search-label = 姓名、拼音、证件或电话尾号、卡号
registry-resident-status-active = 在住
registry-resident-status-away = 外出
registry-resident-status-left = 已离开

## 联系人
registry-contacts = 家属联系人
registry-contacts-hint = 按顺序通知：第 1 联系人最先。
registry-no-contacts = 没有家属联系人，升级时将无法通知家属
registry-relation = 关系

## 场所
registry-places = 场所
registry-places-empty = 还没有场所
registry-places-empty-text = 从楼栋开始添加，再添加房间和床位。
registry-place-new = 添加场所
registry-place-parent = 上级场所
registry-place-children = 下级场所
registry-place-no-residents = 此处没有老人
registry-place-kind-building = 楼栋
registry-place-kind-floor = 楼层
registry-place-kind-room = 房间
registry-place-kind-bed = 床位
registry-place-kind-home = 住宅
registry-place-kind-area = 公共区域
registry-tag = 房间标签
registry-tag-text = 打印后贴在门边，或写入 NFC 标签。到场后用手机扫描，即可记录到达。
registry-tag-qr = 房间标签二维码
registry-print-tag = 打印标签

## 排班
registry-rosters = 排班
registry-roster-caption = 按人员和日期的班次
registry-rosters-empty = 这个机构还没有人员
registry-rosters-empty-text = 先添加人员，再安排班次。
registry-week-prev = 上一周
registry-week-next = 下一周
registry-week-this = 本周
registry-coverage = 值班空缺
registry-covered = 全天有人
registry-shift-add = 添加班次
registry-shift-on_call = 值班应答
registry-shift-on_call-hint = 接收告警
registry-shift-duty = 在岗
registry-shift-duty-hint = 不接收告警
registry-date = 日期
registry-from = 开始时间
registry-to = 结束时间
registry-to-hint = 早于开始时间表示次日结束

## 人员
registry-staff = 人员
registry-staff-caption = 人员名单
registry-staff-empty = 还没有人员
registry-staff-empty-text = 用 songhe user add 添加第一个账号。
registry-on-call-now = 正在值班
registry-off-duty = 不在班

## 错误
registry-error-shift-overlap = 与班次“{ $name }”（{ $start } 至 { $end }）重叠
registry-error-place-cycle = 不能放在自己或下级里面
registry-error-place-has-children = 请先移走下级场所
registry-error-id-number = 身份证号不正确
registry-error-contact-phone = 第 { $n } 联系人的电话不正确
registry-error-bed-taken = 这张床位已有老人
registry-error-place-exists = 同一处已有同名的场所
registry-error-place-not-dwelling = 请选择房间、床位或住宅
registry-error-place-parent-kind = 这种场所不能放在所选的上级里
registry-error-place-parent-missing = 请选择它所在的上级场所
registry-error-rank-taken = 这个顺序已有联系人
registry-error-shift-elsewhere = 这个人此时在另一机构有班
registry-error-shift-length = 一个班次不能超过 { $max } 小时
registry-error-staff-exists = 这个账号已在本机构人员中
registry-error-staff-account = 本机构没有这个账号。请先为该账号授予本机构的角色。

## 照护要点
registry-ability = 能力等级
registry-ability-0 = 能力完好
registry-ability-1 = 轻度失能
registry-ability-2 = 中度失能
registry-ability-3 = 重度失能
registry-ability-4 = 完全失能
registry-living-alone = 独居
registry-fall-risk-high = 跌倒高风险

## 岗位与班次
registry-job = 岗位
registry-job-carer = 护理员
registry-job-nurse = 护士
registry-job-nurse_lead = 护士长
registry-job-manager = 负责人
registry-duty = 值班身份
registry-duty-hint = 护理员收到第一级通知，护士长和负责人在升级时收到
registry-shift-name = 班次名称
registry-shift-name-hint = 例如：早班、中班、夜班
registry-staff-username-hint = 填写登录账号后，值班时才能在这里收到告警
registry-contact-add = 添加联系人
registry-move = 调整位置
registry-no-panels = 没有更多资料
registry-title = 登记处
registry-facility-kind-nursing_home = 养老院
registry-facility-kind-care_bed_station = 家庭养老床位服务站
registry-day-mon = 周一 { $day }日
registry-day-tue = 周二 { $day }日
registry-day-wed = 周三 { $day }日
registry-day-thu = 周四 { $day }日
registry-day-fri = 周五 { $day }日
registry-day-sat = 周六 { $day }日
registry-day-sun = 周日 { $day }日
registry-ability-none = 未评估
registry-contact-rank = 第 { $n } 联系人
registry-staff-add = 添加人员
