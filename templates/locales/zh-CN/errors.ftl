# 内核：读不懂的请求
error-query = 地址中的参数有误：{ $reason }
error-form = 表单无法读取：{ $reason }
error-json = JSON 内容有误：{ $reason }
error-not-json = 请求内容应为 JSON（Content-Type: application/json）。
error-body = 请求内容未能完整接收。
error-body-slow = 请求内容传输过慢。
error-idempotency-key = Idempotency-Key 应为 1 到 { $max } 个字符。
error-not-utf8 = 请求中含有不是 UTF-8 编码的文字。
error-nul = 请求中含有无法保存的空字符（NUL）。
