# 设备测试
device-tests-error-none = 请选择要测试的设备。
device-tests-error-many = 一次最多测试 { $max } 台设备：须有人在时限内逐台按下。
device-tests-error-disabled = “{ $name }”已停用，不能测试。
device-tests-error-open = “{ $name }”发出的呼叫还没有处理完，请先处理呼叫，再做测试。
device-tests-error-range = 请填写 { $min } 到 { $max } 之间的整数。
device-tests-error-not-passed = 这次测试没有收到按键，不能转为呼叫。
