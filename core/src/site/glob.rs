//! Patterns for paths: `*` matches any number of bytes, slashes included; every other byte matches
//! itself.
//!
//! ```
//! use doorstep_core::site::glob::matches;
//!
//! assert!(matches(b"assets/*.js", b"assets/app.3f2a.js"));
//! assert!(!matches(b"assets/*.js", b"app.js"));
//! ```

/// Whether a clean `path` matches `pattern`. The cost is at most the product of their lengths.
#[must_use]
pub fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (mut p, mut at) = (0, 0);
    let mut retry = None; // the position after the last `*`, and where its match began
    while at < path.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((p, at));
            }
            Some(byte) if *byte == path[at] => {
                p += 1;
                at += 1;
            }
            _ => {
                let Some((star, from)) = retry else { return false };
                (p, at) = (star, from + 1);
                retry = Some((star, from + 1));
            }
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_and_paths() {
        for (pattern, path, fits) in [
            ("", "", true),
            ("*", "", true),
            ("*", "a/b", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("*.js", "a.js/b.js", true),
            ("*.js", "a.jsx", false),
            ("a**b*", "ab", true),
            ("*a*a*", "banana", true),
            ("*x", "aaa", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), fits, "{pattern} {path}");
        }
    }
}
