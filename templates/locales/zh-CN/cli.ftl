# 命令 `songhe user` 和 `songhe facility` 的输出
cli-account-made = { $name } 现在可以以 { $role } 角色登录。
cli-account-not-made = 账号 { $name } 没有创建。{ $why }。
cli-username-taken = 请换一个用户名；如要为已有账号设置新密码，请运行：songhe user password { $name }
cli-correct-it = 没有做任何改动，请改正后重新运行命令。
cli-try-again = 没有做任何改动，请确认数据库可用后重新运行命令。
cli-unknown-role = 没有角色 { $role }，请从以下角色中选择：{ $all }。
cli-no-facility-id = { $at } 不是机构编号。编号由 fac_ 和 13 个字符组成：`songhe facility add` 创建机构时会给出，也可以用 GET /api/v1/facilities 查看。
cli-no-such-node = 没有机构或区域 { $at }；机构编号在 `songhe facility add` 创建机构时给出，也可以用 GET /api/v1/facilities 查看
cli-no-account = 没有账号 { $name }，可以用 `songhe user add` 创建。
cli-password-prompt = 新密码（输入时会显示在屏幕上）：
cli-password-refused = { $why }。没有做任何改动，请换一个密码后重新运行命令。
cli-password-set = { $name } 的密码已更换，该账号已在所有设备上退出登录。
cli-facility-made = { $name } 的编号是 { $id }；用 `songhe user add … --at { $id }` 可以为人员授予该机构的角色。服务正在运行时请重新启动，该机构的每日定时任务从那时开始。
cli-facility-not-made = 机构 { $name } 没有创建。{ $why }。
cli-unknown-zone = { $zone } 不是 IANA 时区，请填写例如 Asia/Shanghai。
cli-database = 数据库无法使用：{ $why }。请用 `songhe check` 查看原因。
