//! The fixed parts of the page: what is before its title, and its style sheet.
//!
//! The style sheet has no `url()`: nothing else is requested.

pub(super) const HTML_HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>"#;

pub(super) const STYLE: &str = r#"</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 0 auto; padding: 1.5rem }
h1 { font-size: 1.3rem; font-weight: 600; padding: 0 .5rem; overflow-wrap: anywhere }
table { width: 100%; border-collapse: collapse }
caption { text-align: left; font-size: .85rem; padding: .35rem .5rem }
th { text-align: left; font-size: .85rem; font-weight: 500 }
form { display: inline }
button { font: inherit; background: none; border: 0; padding: .2rem 0; cursor: pointer }
[aria-sort] { font-weight: 700 }
[aria-sort] button::after { content: " \2191" }
[aria-sort="descending"] button::after { content: " \2193" }
th, td { padding: .35rem .5rem; border-bottom: 1px solid #8883; vertical-align: baseline }
td:first-child a { overflow-wrap: anywhere; white-space: pre-wrap }
:is(th, td):nth-child(n+2) { white-space: nowrap; font-variant-numeric: tabular-nums }
:is(th, td):nth-child(3) { text-align: right }
td:nth-child(n+2) { opacity: .8 }
tr:hover td { background: #8881 }
a, button { color: light-dark(#0550ae, #79b8ff); text-decoration: none }
td a[href$="/"] { font-weight: 600 }
:is(a, button):hover, caption button { text-decoration: underline }
:focus-visible { outline: 2px solid; outline-offset: 2px; border-radius: 2px }
@media (max-width: 36rem) {
  body { padding: 1rem .5rem }
  h1, caption, th, td { padding-inline: .3rem }
  :is(th, td):nth-child(n+2) { font-size: .75rem }
  td { padding-block: .6rem }
}
</style>
<h1>"#;
