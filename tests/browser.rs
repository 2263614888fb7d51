//! A real browser goes through a listing, and plays and seeks in a video.
//!
//! Needs Chromium, so it is ignored by default. By hand: `cargo test --test browser -- --ignored`, with
//! `chromium` on the path (Debian: `apt-get install chromium`). The page that the browser runs lies
//! beside what it looks at, and writes what it found into itself.
#![cfg(feature = "cli")]

#[path = "support/mod.rs"]
mod support;

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use support::{RUNTIMES, serve, text};

/// Names that have tripped servers, listings and browsers.
const NASTY: [&[u8]; 12] = [
    b"a b.txt",
    b"100%25 sure.txt",
    b"what?.txt",
    b"c#.txt",
    b"it's \"quoted\".txt",
    b"<script>.txt",
    b"new\nline.txt",
    b"a:b.txt",
    b"back\\slash.txt",
    b"+plus&amp;.txt",
    "gr\u{fc}\u{df} \u{1f600}.txt".as_bytes(),
    b"not\xff utf8.txt",
];

/// Opens every link of `nasty/` as the browser resolves it, and errors what came.
const CLICKER: &str = r"<!doctype html><title>clicker</title><pre id=out></pre><script>
onload = async () => {
  const base = new URL('nasty/', location.href);
  const page = new DOMParser().parseFromString(await (await fetch(base)).text(), 'text/html');
  const links = [...page.querySelectorAll('td a')].map(a => a.getAttribute('href'));
  const found = [];
  for (const href of links.filter(href => href != '../')) {
    const response = await fetch(new URL(href, base));
    found.push(response.status + ' ' + await response.text());
  }
  out.textContent = found.sort().join('\n') + '\ndone';
};
</script>";

/// Shows `nasty/` as wide as a phone, counts the lines that its dates take, sorts it by a button
/// that it focuses and presses, and errors what the page has become.
const PHONE: &str = r"<!doctype html><title>phone</title><pre id=out></pre>
<iframe id=frame width=360 height=640 frameborder=0 src='nasty/'></iframe><script>
const results = [];
const inside = () => frame.contentDocument;
frame.onload = () => {
  const dates = [...inside().querySelectorAll('td:nth-child(2)')];
  results.push(dates.length + ' dates on ' + new Set(dates.map(date => date.getClientRects().length)).size +
    ' kind of ' + dates[0].getClientRects().length + ' line');
  results.push('fits ' + (inside().documentElement.scrollWidth <= 360));
  const order = inside().querySelector('th[aria-sort]');
  results.push(order.textContent.trim() + ' ' + order.ariaSort + ' ' + inside().location.search);
  const next = [...inside().querySelectorAll('button')].find(button => button.textContent == 'Size');
  if (results.length == 3) { next.focus(); results.push('focus ' + (inside().activeElement == next)); next.click(); }
  else { results.push('done'); out.textContent = results.join('\n'); }
};
</script>";

/// Shows `nasty/`, and the same with a filter that matches nothing, as wide as phones, and errors whether
/// each page fits, and whether its upload form looks as the other controls.
const NARROW: &str = r"<!doctype html><title>narrow</title><pre id=out></pre>
<iframe id=frame height=640 frameborder=0></iframe><script>
const results = [];
const steps = [360, 320].flatMap(width => ['nasty/', 'nasty/?filter=zzz&sort=size'].map(page => [width, page]));
const next = () => { [frame.width, frame.src] = steps[0]; };
const style = element => frame.contentWindow.getComputedStyle(element);
frame.onload = () => {
  if (frame.contentWindow.location.href == 'about:blank') return;
  const page = frame.contentDocument;
  const [filter, archive, upload] = ['input[type=search]', 'button[name=archive]', 'input[type=file]'].map(
    selector => page.querySelector(selector));
  const left = element => element.closest('form').getBoundingClientRect().left;
  const space = upload.closest('form').getBoundingClientRect().top - archive.closest('form').getBoundingClientRect().bottom;
  results.push([steps.shift()[0], 'fits', page.documentElement.scrollWidth <= frame.clientWidth,
    'aligned', left(upload) == left(filter), 'size', style(upload).fontSize == style(filter).fontSize,
    'space', space >= 8, 'to', upload.form.getAttribute('action')].join(' '));
  if (steps.length) return next();
  results.push('done'); out.textContent = results.join('\n');
};
next();
</script>";

/// Filters `nasty/` by a field that it fills and a button that it presses, sorts what is left, and
/// removes the filter; reports each page, and of the first one the lowest contrast of texts to their
/// background (WCAG 1.4.3), the lowest control in pixels, and what keyboards reach in which order.
const CONTROLS: &str = r"<!doctype html><title>controls</title><pre id=out></pre>
<iframe id=frame width=360 height=640 frameborder=0 src='nasty/'></iframe><script>
const results = [];
const inside = () => frame.contentDocument;
const all = selector => [...inside().querySelectorAll(selector)];
const press = text => all('button').find(button => button.textContent == text).click();
const light = color => {
  const [r, g, b] = color.match(/[0-9.]+/g).map(n => n / 255).map(n => n <= .04045 ? n / 12.92 : ((n + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b + .05;
};
const style = (element, pseudo) => frame.contentWindow.getComputedStyle(element, pseudo);
const contrast = element => {
  let under = element;
  while (style(under).backgroundColor == 'rgba(0, 0, 0, 0)') under = under.parentElement;
  const pair = [light(style(element).color), light(style(under).backgroundColor)];
  return Math.max(...pair) / Math.min(...pair);
};
const look = () => {
  const controls = all('a, button, input:not([type=hidden])');
  const ground = style(inside().documentElement).backgroundColor;
  results.push((light(ground) < .2 ? 'dark' : 'light') + ' ' + ground);
  results.push('readable ' + (Math.min(...all('h1, label, input, button, caption, a, td, h2, pre').map(contrast)) >= 4.5));
  results.push('touchable ' + (Math.min(...controls.map(control => control.getBoundingClientRect().height)) >= 44));
  results.push('in order ' + controls.map(control => control.name || control.textContent).slice(0, 10));
  results.push('focus is seen ' + controls.every(control => {
    control.focus({ focusVisible: true });
    return inside().activeElement == control && style(control).outlineStyle == 'solid';
  }));
  results.push('symbols ' + all('td a').filter(link => style(link, '::before').clipPath.startsWith('path')).length);
  results.push('kind ' + style(all('td a[href$=txt]')[0], '::after').content);
  results.push('one file ' + (frame.contentWindow.performance.getEntriesByType('resource').length == 0));
};
const tell = () => results.push([inside().title, all('td a[href]').length, inside().location.search].join(' | '));
const steps = [
  () => { look(); tell(); inside().querySelector('input[name=filter]').value = 'A :'; press('Apply'); },
  () => { tell(); inside().querySelector('input[name=filter]').value = 'TXT'; press('Apply'); },
  () => { tell(); press('Size'); },
  () => { tell(); press('Clear filter'); },
  () => { tell(); results.push('done'); out.textContent = results.join('\n'); },
];
frame.onload = () => steps.shift()();
</script>";

/// Plays the video, jumps near its end, and errors where it is then. HOLD keeps the page from
/// being complete until that is known: it sends the picture after the request for HOLD/knock.
const SEEKER: &str = r"<!doctype html><title>seeker</title><pre id=out></pre><img src='HOLD/picture'>
<video id=a muted preload=auto src=clip.webm></video><script>
const tell = text => { out.textContent = text; fetch('HOLD/knock').catch(() => 0); };
a.onplaying = () => { a.onplaying = null; a.currentTime = 25; };
a.oncanplay = () => { a.oncanplay = null; a.play().catch(error => tell('error ' + error)); };
a.onseeked = () => a.videoWidth == 160 && tell(Math.round(a.duration) + ' ' + Math.round(a.currentTime) + ' done');
a.onerror = () => tell('error ' + a.error.message);
</script>";

/// Listens until it was called twice, for the picture and by the knock; then both are over.
fn hold() -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    listener.set_nonblocking(true).expect("it can be asked");
    let wait = move || {
        let (mut calls, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(20));
        while calls.len() < 2 && Instant::now() < deadline {
            match listener.accept() {
                Ok((call, _)) => calls.push(call),
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    };
    (format!("http://{address}"), thread::spawn(wait))
}

/// What the page at `url` has become after its scripts ran.
fn browse(url: &str, more: &[&str]) -> String {
    let profile = tempfile::tempdir().expect("a temporary directory can be made");
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg("--dump-dom")
        .args(more)
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .output()
        .expect("chromium is installed: apt-get install chromium");
    text(&output.stdout)
}

fn site(root: &Path) {
    fs::create_dir(root.join("nasty")).expect("the root is ours");
    for (n, name) in NASTY.iter().enumerate() {
        let path = root.join("nasty").join(OsStr::from_bytes(name));
        fs::write(path, format!("file {n}")).expect("the name can be had");
    }
    fs::write(root.join("clicker.html"), CLICKER).expect("the root is ours");
    fs::write(root.join("phone.html"), PHONE).expect("the root is ours");
    fs::write(root.join("narrow.html"), NARROW).expect("the root is ours");
    fs::write(root.join("controls.html"), CONTROLS).expect("the root is ours");
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/clip.webm");
    fs::copy(clip, root.join("clip.webm")).expect("it is in the repository");
}

#[test]
#[ignore = "needs Chromium: cargo test --test browser -- --ignored"]
fn b_123_151_a_browser_opens_every_listed_name() {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    site(root.path());
    let mut expected: Vec<String> = (0..NASTY.len()).map(|n| format!("200 file {n}")).collect();
    expected.sort();
    for runtime in RUNTIMES {
        let server = serve(root.path(), &[runtime]);
        let dom = browse(
            &format!("http://127.0.0.1:{}/clicker.html", server.port),
            &["--virtual-time-budget=20000"],
        );
        let wanted = format!("{}\ndone", expected.join("\n"));
        assert!(dom.contains(&wanted), "{runtime}: {dom}");
    }
}

#[test]
#[ignore = "needs Chromium: cargo test --test browser -- --ignored"]
fn r_19_r_22_a_listing_on_a_phone_fits_and_is_sorted_by_its_buttons() {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    site(root.path());
    let (n, lines) = (NASTY.len(), "kind of 1 line\nfits true");
    for runtime in RUNTIMES {
        let server = serve(root.path(), &[runtime]);
        let url = format!("http://127.0.0.1:{}/phone.html", server.port);
        let dom = browse(&url, &["--virtual-time-budget=20000"]);
        for expected in [
            format!("{n} dates on 1 {lines}\nName ascending \nfocus true\n"),
            format!("\n{n} dates on 1 {lines}\nSize descending ?sort=size&amp;order=desc\ndone"),
        ] {
            assert!(dom.contains(&expected), "{runtime}: {expected} in {dom}");
        }
    }
}

#[test]
#[ignore = "needs Chromium: cargo test --test browser -- --ignored"]
fn the_upload_form_fits_a_phone_and_looks_as_the_other_controls() {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    site(root.path());
    for runtime in RUNTIMES {
        let server = serve(root.path(), &[runtime, "--upload"]);
        let url = format!("http://127.0.0.1:{}/narrow.html", server.port);
        let dom = browse(&url, &["--virtual-time-budget=20000"]);
        let good = "fits true aligned true size true space true to ./";
        let query = "?sort=size&amp;order=asc&amp;filter=zzz";
        let expected =
            format!("360 {good}\n360 {good}{query}\n320 {good}\n320 {good}{query}\ndone");
        assert!(dom.contains(&expected), "{runtime}: {expected}\nin {dom}");
    }
}

#[test]
#[ignore = "needs Chromium: cargo test --test browser -- --ignored"]
fn a_listing_is_filtered_and_sorted_by_controls_that_everyone_can_use() {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    site(root.path());
    let n = NASTY.len();
    let filter =
        |text: &str| format!("Directory listing for /nasty/: names with \u{201c}{text}\u{201d}");
    const DARK: &str = "--blink-settings=preferredColorScheme=0";
    const LIGHT: &str = "--blink-settings=preferredColorScheme=1";
    for (runtime, scheme, ground) in [
        (RUNTIMES[0], LIGHT, "light rgb(255, 255, 255)"),
        (RUNTIMES[1], DARK, "dark rgb(22, 24, 28)"),
    ] {
        let server = serve(root.path(), &[runtime]);
        let url = format!("http://127.0.0.1:{}/controls.html", server.port);
        let dom = browse(&url, &["--virtual-time-budget=20000", scheme]);
        let expected = [
            ground.to_owned(),
            "readable true\ntouchable true".into(),
            "in order filter,Apply,archive,archive,archive,Directories first,Name,Modified (UTC),Size,../".into(),
            format!("focus is seen true\nsymbols {}", n + 1),
            "kind \"\" / \", text\"\none file true".into(),
            format!("Directory listing for /nasty/ | {} | ", n + 1),
            format!("{} | 1 | ?filter=A+%3A", filter("A :")),
            format!("{} | {} | ?filter=TXT", filter("TXT"), n + 1),
            format!("{} | {} | ?sort=size&amp;order=desc&amp;filter=TXT", filter("TXT"), n + 1),
            format!("Directory listing for /nasty/ | {} | ?sort=size&amp;order=desc\ndone", n + 1),
        ]
        .join("\n");
        assert!(dom.contains(&expected), "{runtime}: {expected}\nin {dom}");
    }
}

#[test]
#[ignore = "needs Chromium: cargo test --test browser -- --ignored"]
fn b_181_a_browser_plays_and_seeks_in_a_video() {
    let root = tempfile::tempdir().expect("a temporary directory can be made");
    site(root.path());
    for runtime in RUNTIMES {
        let mut server = serve(root.path(), &[runtime]);
        let (address, held) = hold();
        let page = SEEKER.replace("HOLD", &address);
        fs::write(root.path().join("seeker.html"), page).expect("the root is ours");
        let dom = browse(&format!("http://127.0.0.1:{}/seeker.html", server.port), &[]);
        held.join().expect("it does not panic");
        assert!(dom.contains("30 25 done"), "{runtime}: {dom}");
        let log = text(&server.end("TERM").stderr);
        assert!(log.contains("\"GET /clip.webm HTTP/1.1\" 206"), "{runtime}: by ranges: {log}");
    }
}
