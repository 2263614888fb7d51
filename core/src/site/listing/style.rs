//! The fixed parts of the page: what is before its title, and its style sheet.
//!
//! The style sheet has no `url()`: nothing else is requested. It has no `href="`, either, which
//! programs take for links that look for no more. Symbols are `clip-path`s of a box, chosen by the
//! end of the link; assistive technology reads them as words, after the name (`content` with
//! alternative text, CSS Generated Content Module Level 3 §2).

pub(super) const HTML_HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>"#;

pub(super) const STYLE: &str = r#"</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; background: light-dark(#fff, #16181c); color: light-dark(#1f2328, #e2e5e9) }
body { max-width: 60rem; margin: 0 auto; padding: 1.5rem }
h1 { font-size: 1.3rem; font-weight: 600; margin: .5rem; overflow-wrap: anywhere }
header div { display: flex; flex-wrap: wrap; gap: .5rem; margin: 0 .5rem; font-size: .875rem }
header :is(form, label) { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; min-width: 0; max-width: 100% }
header :is(input, button, select) { font: inherit; color: inherit; background: light-dark(#f6f8fa, #22262c); border: 1px solid light-dark(#80868e, #70777f); border-radius: 6px; padding: .3rem .6rem; max-width: 100%; box-sizing: border-box }
header button { cursor: pointer }
header [method] { flex-basis: 100% }
:is(caption, th) form { display: inline }
:is(caption, th) button { font: inherit; background: none; border: 0; padding: .2rem 0; cursor: pointer }
table { width: 100%; border-collapse: collapse }
caption form::before { content: "· "; content: "· " / "" }
caption { text-align: left; font-size: .875rem; padding: .6rem .5rem; overflow-wrap: anywhere }
th { text-align: left; font-size: .875rem; font-weight: 500 }
[aria-sort] { font-weight: 700 }
[aria-sort] button::after { content: " \2191"; content: " \2191" / "" }
[aria-sort="descending"] button::after { content: " \2193"; content: " \2193" / "" }
th, td { padding: .35rem .5rem; border-bottom: 1px solid #8883; vertical-align: baseline }
td:first-child { padding: 0 }
td a { display: block; position: relative; padding: .35rem .5rem .35rem 2rem; overflow-wrap: anywhere; white-space: pre-wrap }
:is(th, td):nth-child(n+2) { white-space: nowrap; font-variant-numeric: tabular-nums }
:is(th, td):nth-child(3) { text-align: right }
td:nth-child(n+2) { color: light-dark(#59636e, #a0a8b1) }
tr:hover td { background: #8881 }
a, :is(caption, th) button { color: light-dark(#0550ae, #79b8ff); text-decoration: none }
a[href$="/"] { font-weight: 600 }
:is(a, button):hover, caption button { text-decoration: underline }
:focus-visible { outline: 2px solid light-dark(#0550ae, #79b8ff); outline-offset: 2px; border-radius: 3px }
td a:focus-visible { outline-offset: -2px }
a::before { content: ""; position: absolute; left: .5rem; top: .6rem; width: 16px; height: 16px; background: light-dark(#6e7781, #8b949e); clip-path: var(--icon, path(evenodd, "M3 1h7l4 4v10H3zM4.5 2.5v11h8V6H9V2.5z")) }
a[href$="/"] { --icon: path("M1 3q0-1 1-1h4l2 2h6q1 0 1 1v8q0 1-1 1H2q-1 0-1-1z"); --kind: ", directory" }
a[href$="/"]::before { background: light-dark(#2f6fd0, #6ea8fe) }
[colspan] a { --icon: path("M8 2 2 8l1.1 1.1L7.2 5v9h1.6V5l4.1 4.1L14 8z"); --kind: ", parent directory" }
a:is([href$=".png"i], [href$=".jpg"i], [href$=".jpeg"i], [href$=".gif"i], [href$=".webp"i], [href$=".avif"i], [href$=".svg"i], [href$=".heic"i], [href$=".bmp"i], [href$=".ico"i], [href$=".tif"i], [href$=".tiff"i]) { --icon: path(evenodd, "M1 2h14v12H1zM2.5 3.5v9h11v-9zM3.5 11.5l3-4 2 2.5 1.5-2 2.5 3.5zM9.5 5h2v2h-2z"); --kind: ", image" }
a:is([href$=".mp4"i], [href$=".webm"i], [href$=".mkv"i], [href$=".mov"i], [href$=".avi"i], [href$=".m4v"i], [href$=".ogv"i]) { --icon: path(evenodd, "M1 3q0-1 1-1h12q1 0 1 1v10q0 1-1 1H2q-1 0-1-1zM6 5v6l5-3z"); --kind: ", video" }
a:is([href$=".mp3"i], [href$=".flac"i], [href$=".ogg"i], [href$=".opus"i], [href$=".wav"i], [href$=".m4a"i], [href$=".aac"i]) { --icon: path("M5 3l9-2v10.5a2.2 2 0 1 1-1.6-1.9V4.6L6.6 5.9v7.6A2.2 2 0 1 1 5 11.6z"); --kind: ", audio" }
a:is([href$=".zip"i], [href$=".gz"i], [href$=".tgz"i], [href$=".tar"i], [href$=".bz2"i], [href$=".xz"i], [href$=".zst"i], [href$=".7z"i], [href$=".rar"i], [href$=".jar"i], [href$=".deb"i], [href$=".rpm"i], [href$=".iso"i]) { --icon: path(evenodd, "M1 2h14v4H1zM2 7h12v7H2zM6 8.3h4v1.5H6z"); --kind: ", archive" }
a:is([href$=".txt"i], [href$=".md"i], [href$=".pdf"i], [href$=".csv"i], [href$=".log"i], [href$=".odt"i], [href$=".doc"i], [href$=".docx"i], [href$=".epub"i], [href$=".rst"i]) { --icon: path(evenodd, "M3 1h7l4 4v10H3zM4.5 2.5v11h8V6H9V2.5zM6 7.5h5v1.2H6zM6 10h5v1.2H6z"); --kind: ", text" }
a:is([href$=".html"i], [href$=".css"i], [href$=".js"i], [href$=".ts"i], [href$=".json"i], [href$=".xml"i], [href$=".toml"i], [href$=".yaml"i], [href$=".yml"i], [href$=".c"i], [href$=".h"i], [href$=".cpp"i], [href$=".rs"i], [href$=".go"i], [href$=".py"i], [href$=".java"i], [href$=".php"i], [href$=".rb"i], [href$=".sh"i], [href$=".sql"i]) { --icon: path("M5.3 3 .8 8l4.5 5 1.2-1L2.9 8l3.6-4zM10.7 3l4.5 5-4.5 5-1.2-1L13.1 8 9.5 4z"); --kind: ", code" }
@supports (content: "" / "") { a::before { content: "" / "" } a::after { content: "" / var(--kind, "") } }
h2 { font-size: 1.1rem; margin: 2rem .5rem .5rem; overflow-wrap: anywhere }
pre { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; font: .875rem/1.5 ui-monospace, monospace; background: light-dark(#f6f8fa, #1d2025); border: 1px solid #8883; border-radius: 6px; margin: .5rem; padding: 1rem }
p { margin: 1rem .5rem; overflow-wrap: anywhere }
@media (max-width: 36rem) {
  body { padding: .5rem }
  h1, header div, h2, pre, p { margin-inline: .3rem }
  caption, th, td { padding-inline: .3rem }
  td a { padding: .65rem .3rem .65rem 1.9rem }
  a::before { left: .3rem; top: .9rem }
  :is(th, td):nth-child(n+2) { font-size: .75rem }
  header :is(input, button), :is(caption, th) button { min-height: 2.75rem }
  header [type=file] { padding-block: .5rem }
}
@media print {
  :root { color-scheme: light }
  body { max-width: none; padding: 0 }
  header :is(div, form), caption form, a::before { display: none }
  td a { padding: 0 .5rem }
  th, td { padding-block: .1rem }
  a[href*="%"]::after { content: "  (" attr(href) ")"; font-size: .75rem }
  tr { break-inside: avoid }
}
</style>
<header>
<h1>"#;
