use crate::arguments::CheckOptions;
use crate::failure::Failure;
use std::process::ExitCode;
pub(crate) fn run(options: CheckOptions) -> Result<ExitCode, Failure> {
    let _ = (options.directory, options.format, options.files, options.cgi);
    Ok(ExitCode::SUCCESS)
}
