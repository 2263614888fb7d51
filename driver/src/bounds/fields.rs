//! The fields that bound something, and what happens beyond each.
//!
//! The settings of this crate are taken apart field by field, so a new field does not compile until it
//! is listed or left out here. Those of the core are compared by tests/limits.rs.

use std::num::NonZeroUsize;
use std::time::Duration;

use doorstep_core::http1::{Limits, Timeouts};
use doorstep_core::site::Site;

use super::{Bound, BoundValue};
use crate::cgi::CgiSettings;
use crate::config::Config;
use crate::files::CacheLimits;
use crate::net::BindOptions;
use crate::os::{LogSettings, Rlimits};
use crate::upload::UploadSettings;

/// What happens at the end of a lingering close.
const AFTER_LINGER: &str = "closed; later bytes are answered by a reset";

fn time(name: &'static str, value: Duration, beyond: &'static str) -> Bound {
    Bound { name, value: BoundValue::Time(value), beyond }
}

fn bytes(name: &'static str, value: impl TryInto<u64>, beyond: &'static str) -> Bound {
    Bound { name, value: BoundValue::Bytes(value.try_into().unwrap_or(u64::MAX)), beyond }
}

fn number(name: &'static str, value: impl TryInto<u64>, beyond: &'static str) -> Bound {
    Bound { name, value: BoundValue::Number(value.try_into().unwrap_or(u64::MAX)), beyond }
}

fn rate(name: &'static str, value: u32, beyond: &'static str) -> Bound {
    let value = if value == 0 { BoundValue::Unlimited } else { BoundValue::Rate(value.into()) };
    Bound { name, value, beyond }
}

/// `value`, or no limit.
fn optional(name: &'static str, value: Option<BoundValue>, beyond: &'static str) -> Bound {
    Bound { name, value: value.unwrap_or(BoundValue::Unlimited), beyond }
}

fn of_limits(limits: &Limits) -> Vec<Bound> {
    vec![
        bytes("limits.request_line", limits.request_line, "414"),
        bytes("limits.header_line", limits.header_line, "431"),
        bytes("limits.head", limits.head, "431"),
        number("limits.header_count", limits.header_count, "431"),
        number("limits.empty_lines", limits.empty_lines, "400"),
        bytes("limits.body", limits.body, "413"),
        bytes("limits.drain", limits.drain, "the connection is closed after the response"),
        bytes("limits.chunk_overhead", limits.chunk_overhead, "400"),
        bytes("limits.trailers", limits.trailers, "431"),
    ]
}

fn of_timeouts(timeouts: &Timeouts) -> Vec<Bound> {
    vec![
        time("timeouts.idle", timeouts.idle, "the connection is closed"),
        time("timeouts.head", timeouts.head, "408"),
        time("timeouts.body", timeouts.body, "408, or an aborted response"),
        time("timeouts.send", timeouts.send, "the response is aborted"),
        time("timeouts.drain", timeouts.drain, "the connection is closed"),
        time("timeouts.linger", timeouts.linger, AFTER_LINGER),
        rate("timeouts.min_rate", timeouts.min_rate, "after `body` or `send`: as these"),
        rate("timeouts.min_linger_rate", timeouts.min_linger_rate, "after `linger`: as this"),
    ]
}

impl Config {
    /// The bounds of connections: those of [`Limits`], [`Timeouts`] and this struct, in the order of
    /// their fields. `default_max` is the front end's number of connections, which counts if
    /// [`Config::max_connections`] is `None`.
    #[must_use]
    pub fn bounds(&self, default_max: NonZeroUsize) -> Vec<Bound> {
        let Self {
            limits,
            timeouts,
            protocol: _,
            trusted_proxies: _,
            prefix: _,
            transfers: _,
            https_redirect: _,
            handshake_timeout,
            server: _,
            headers: _,
            error_pages: _,
            max_connections,
            accept_backoff,
            eviction_grace,
            first_request_grace,
            eviction_rate,
            eviction_timeout,
            eviction_scan_interval,
            descriptor_wait,
            rotation_interval,
            sweep_interval,
            max_linger_bytes,
            shutdown_grace,
            lame_duck,
            shutdown_step,
            kill_wait,
            body_read_ahead,
            flush_threshold,
            max_sendfile_chunk,
            disconnect_check_interval,
            half_close_timeout,
            max_idle_threads,
            max_spare_buffers,
            pool_threads,
            pool_idle_timeout,
            log_quiet_time,
        } = self;
        let most = max_connections.unwrap_or(default_max).get();
        let mut all = of_limits(limits);
        all.extend(of_timeouts(timeouts));
        all.extend([
            number("config.max_connections", most, "slow and idle connections are evicted"),
            time("config.accept_backoff", *accept_backoff, "accepting is tried again"),
            time("config.eviction_grace", *eviction_grace, "if full: it can be evicted"),
            time("config.first_request_grace", *first_request_grace, "if full: it can be evicted"),
            rate("config.eviction_rate", *eviction_rate, "if full, below it: it can be evicted"),
            time("config.eviction_timeout", *eviction_timeout, "another one is evicted"),
            time("config.handshake_timeout", *handshake_timeout, "the connection is closed"),
            time("config.eviction_scan_interval", *eviction_scan_interval, "if full: a scan"),
            time("config.descriptor_wait", *descriptor_wait, "503"),
            time("config.rotation_interval", *rotation_interval, "if full: Connection: close"),
            time("config.sweep_interval", *sweep_interval, "deadlines are checked"),
            bytes("config.max_linger_bytes", *max_linger_bytes, AFTER_LINGER),
            time("config.shutdown_grace", *shutdown_grace, "connections are aborted"),
            time("config.lame_duck", *lame_duck, "idle connections are closed at a stop"),
            time("config.shutdown_step", *shutdown_step, "the next step of a stop"),
            time("config.kill_wait", *kill_wait, "the stop waits no longer for killed scripts"),
            bytes("config.body_read_ahead", *body_read_ahead, "reading waits for the handler"),
            bytes("config.flush_threshold", *flush_threshold, "responses are sent first"),
            bytes("config.max_sendfile_chunk", *max_sendfile_chunk, "other connections' turn"),
            time("config.disconnect_check_interval", *disconnect_check_interval, "a check"),
            time("config.half_close_timeout", *half_close_timeout, "it counts as disconnected"),
            number("config.max_idle_threads", *max_idle_threads, "idle threads end (blocking)"),
            number("config.max_spare_buffers", *max_spare_buffers, "buffers are freed"),
            number("config.pool_threads", *pool_threads, "blocking work is queued (smol)"),
            time("config.pool_idle_timeout", *pool_idle_timeout, "idle threads end (smol)"),
            time("config.log_quiet_time", *log_quiet_time, "a shortage is logged again"),
        ]);
        all
    }
}

/// The bounds of a directory's responses, in the order of their fields in [`Site`].
#[must_use]
pub fn of_site(site: &Site) -> Vec<Bound> {
    vec![
        number("site.max_archives", site.max_archives, "archives wait"),
        number("site.max_archive_entries", site.max_archive_entries, "the archive is aborted"),
        optional(
            "site.max_archive_size",
            site.max_archive_size.map(BoundValue::Bytes),
            "the archive is aborted",
        ),
        bytes("site.max_archive_index", site.max_archive_index, "the zip archive is aborted"),
        number("site.max_archive_depth", site.max_archive_depth, "what is deeper is left out"),
        number("site.max_listing_entries", site.max_listing_entries, "the rest is counted"),
        bytes("site.max_readme_size", site.max_readme_size as u64, "the rest is not shown"),
        number("site.max_ranges", site.max_ranges, "the whole file, with 200"),
        bytes("site.max_multipart_overhead", site.max_multipart_overhead, "the whole file"),
        number("site.max_large_listings", site.max_large_listings, "large listings wait"),
        time("site.listing_queue_timeout", site.listing_queue_timeout, "503"),
        time("site.half_close_timeout", site.half_close_timeout, "listing or digest is ended"),
    ]
}

impl CacheLimits {
    /// The bounds, in the order of the fields.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let Self {
            max_content_size,
            max_bytes,
            max_files,
            max_descriptors,
            max_remembered_paths,
            max_recent_files,
            max_recent_file_size,
            max_digests,
            max_digest_file_size,
        } = *self;
        vec![
            bytes("cache.max_content_size", max_content_size, "a descriptor is cached"),
            bytes("cache.max_bytes", max_bytes, "others are evicted"),
            number("cache.max_files", max_files, "others are evicted"),
            number("cache.max_descriptors", max_descriptors, "others are evicted"),
            number("cache.max_remembered_paths", max_remembered_paths, "others are forgotten"),
            number("cache.max_recent_files", max_recent_files, "looked up in the shared cache"),
            bytes("cache.max_recent_file_size", max_recent_file_size, "in the shared cache"),
            number("cache.max_digests", max_digests, "others are evicted"),
            bytes("cache.max_digest_file_size", max_digest_file_size, "sent without a digest"),
        ]
    }
}

impl CgiSettings {
    /// The bounds of scripts, in the order of the fields. The last three are those of
    /// [`CgiSettings::rlimits`].
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let Self {
            directories: _,
            hidden: _,
            symlinks: _,
            cors: _,
            variables: _,
            software: _,
            user: _,
            timeout,
            half_close_timeout,
            check_interval,
            exit_timeout,
            kill_delay,
            max_output,
            max_header,
            max_stderr,
            max_stderr_line,
            max_local_redirects,
            max_processes,
            max_queued,
            body_buffer,
            rlimits: Rlimits { cpu, memory, files },
        } = self;
        let seconds = |cpu| BoundValue::Time(Duration::from_secs(cpu));
        vec![
            time("cgi.timeout", *timeout, "504, 503 in the queue, or an aborted response"),
            time("cgi.half_close_timeout", *half_close_timeout, "504, or an aborted response"),
            time("cgi.check_interval", *check_interval, "a check"),
            time("cgi.exit_timeout", *exit_timeout, "the script is terminated"),
            time("cgi.kill_delay", *kill_delay, "SIGKILL"),
            bytes("cgi.max_output", *max_output, "502, or an aborted response"),
            bytes("cgi.max_header", *max_header, "502"),
            bytes("cgi.max_stderr", *max_stderr, "the rest is not logged"),
            bytes("cgi.max_stderr_line", *max_stderr_line, "logged in parts"),
            number("cgi.max_local_redirects", *max_local_redirects, "502"),
            number("cgi.max_processes", *max_processes, "requests wait in the queue"),
            number("cgi.max_queued", *max_queued, "503"),
            bytes("cgi.body_buffer", *body_buffer, "the body is written to a temporary file"),
            optional("cgi.rlimits.cpu", cpu.map(seconds), "the system ends the process"),
            optional("cgi.rlimits.memory", memory.map(BoundValue::Bytes), "allocations fail"),
            optional("cgi.rlimits.files", files.map(BoundValue::Number), "opening fails"),
        ]
    }
}

#[cfg(feature = "auth")]
impl crate::auth::AuthSettings {
    /// The bounds, in the order of the fields.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let Self {
            max_hashing,
            max_queued,
            queue_timeout,
            max_cached,
            cache_timeout,
            check_interval,
            max_password,
            max_file_size,
        } = *self;
        vec![
            number("auth.max_hashing", max_hashing, "requests wait in the queue"),
            number("auth.max_queued", max_queued, "503"),
            time("auth.queue_timeout", queue_timeout, "503"),
            number("auth.max_cached", max_cached, "the password is hashed again"),
            time("auth.cache_timeout", cache_timeout, "the password is hashed again"),
            time("auth.check_interval", check_interval, "a check of the file"),
            bytes("auth.max_password", max_password, "401"),
            bytes("auth.max_file_size", max_file_size, "the file is an error"),
        ]
    }
}

impl UploadSettings {
    /// The bounds, in the order of the fields.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let Self {
            directory: _,
            overwrite: _,
            sync: _,
            min_free_space,
            max_uploads,
            max_form_parts,
            max_part_header,
            max_name,
            buffer,
            max_interrupted,
            interrupted_timeout,
        } = *self;
        vec![
            bytes("upload.min_free_space", min_free_space, "507"),
            number("upload.max_uploads", max_uploads, "503"),
            number("upload.max_form_parts", max_form_parts, "413"),
            bytes("upload.max_part_header", max_part_header, "400"),
            bytes("upload.max_name", max_name, "400"),
            bytes("upload.buffer", buffer, "it is written to the file"),
            number("upload.max_interrupted", max_interrupted, "the oldest one is given up"),
            time("upload.interrupted_timeout", interrupted_timeout, "it is given up"),
        ]
    }
}

impl BindOptions {
    /// The bounds, in the order of the fields.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let Self { backlog, reuse_port: _ } = *self;
        vec![number("listen.backlog", backlog, "further clients repeat their SYN")]
    }
}

impl LogSettings {
    /// The bounds, in the order of the fields.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let Self {
            max_queued_lines,
            max_queued_bytes,
            drop_timeout,
            max_repeats,
            repeat_interval,
            max_counted_messages,
            check_interval,
        } = *self;
        vec![
            number("log.max_queued_lines", max_queued_lines, "lines are dropped and counted"),
            bytes("log.max_queued_bytes", max_queued_bytes, "lines are dropped and counted"),
            time("log.drop_timeout", drop_timeout, "what is queued is lost"),
            number("log.max_repeats", max_repeats, "the same messages are counted"),
            time("log.repeat_interval", repeat_interval, "their number is logged"),
            number("log.max_counted_messages", max_counted_messages, "counts are logged early"),
            time("log.check_interval", check_interval, "a file that was moved is opened again"),
        ]
    }
}
