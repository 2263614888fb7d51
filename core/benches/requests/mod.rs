//! The two requests that `benches/exchange.rs` and `tests/cycle` measure.

/// What a load generator sends.
pub(crate) const SMALL: &[u8; 46] = b"GET /1k.txt HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n";

/// What a browser sends: 15 headers.
pub(crate) const BROWSER: &[u8; 705] = b"GET /docs/guide/index.html?v=2 HTTP/1.1\r\n\
    Host: 127.0.0.1:8000\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/130.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
    image/apng,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Dest: document\r\n\
    Referer: http://127.0.0.1:8000/docs/guide/chapters/overview.html?v=2\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\r\n";
