//! A QR code of a URL, for the camera of a phone: two modules in each character, by half blocks.
//!
//! On a terminal with colours it is black on white, whatever the terminal's own colours are. Without
//! colours the light modules are drawn, as for a dark terminal: on a light one the code is inverted, which
//! most cameras read, too. The margin of four modules that the standard asks for is part of it.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Black on white.
const COLORS: &str = "\x1b[30;107m";
const RESET: &str = "\x1b[0m";

/// The lines of the code for `url`; `None` if it is too long for one.
pub(super) fn code(url: &str, colors: bool) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(url, EcLevel::M).ok()?;
    let mut renderer = code.render::<Dense1x2>();
    if !colors {
        renderer.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    }
    let image = renderer.build();
    let line = |line: &str| match colors {
        true => format!("{COLORS}{line}{RESET}"),
        false => line.to_owned(),
    };
    Some(image.lines().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://192.168.1.20:8000/";

    /// The dark modules of a drawn code.
    fn modules(lines: &[String], colors: bool) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in lines {
            let text = line.strip_prefix(COLORS).and_then(|line| line.strip_suffix(RESET));
            let text = if colors { text.unwrap() } else { line };
            for upper in [true, false] {
                let dark = |character| match character {
                    '█' => colors,
                    ' ' => !colors,
                    '▀' => upper == colors,
                    '▄' => upper != colors,
                    other => unreachable!("{other:?}"),
                };
                rows.push(text.chars().map(dark).collect());
            }
        }
        rows
    }

    #[test]
    fn the_code_is_the_same_with_and_without_colours_and_has_its_margin() {
        let code = QrCode::with_error_correction_level(URL, EcLevel::M).unwrap();
        let size = code.width();
        for colors in [true, false] {
            let drawn = modules(&self::code(URL, colors).unwrap(), colors);
            for (y, row) in drawn.iter().enumerate().take(size + 8) {
                assert_eq!(row.len(), size + 8);
                for (x, dark) in row.iter().enumerate() {
                    let inside = (4..size + 4).contains(&x) && (4..size + 4).contains(&y);
                    let expected = inside && code[(x - 4, y - 4)] == qrcode::Color::Dark;
                    assert_eq!(*dark, expected, "{x}, {y}, colours: {colors}");
                }
            }
        }
    }

    #[test]
    fn a_text_that_is_too_long_has_none() {
        assert_eq!(code(&"x".repeat(3000), true), None);
    }
}
