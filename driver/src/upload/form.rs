//! The files of a form: each is stored as by a PUT, and the others if one is refused.

use std::mem;
use std::sync::Arc;

use doorstep_core::form_data::{Event, FormData};
use doorstep_core::site::upload::{Refusal, Report, name};

use super::Uploads;
use super::writer::{Failure, FileWriter, Place};

/// The most characters of a name that is refused that are kept for the report and the log.
const MAX_SHOWN: usize = 255;

/// A form that is being received.
#[derive(Debug)]
pub(super) struct Form {
    uploads: Arc<Uploads>,
    directory: Place,
    form: FormData,
    part: PartState,
    report: Report,
    /// What was refused, for the log: the name of the file, and why.
    failures: Vec<(String, Failure)>,
}

/// What is done with the part that is being received.
#[derive(Debug)]
enum PartState {
    /// It is not a file, or was refused.
    Skip,
    Store(FileWriter),
}

/// A form that was received.
#[derive(Debug)]
pub(super) struct ReceivedForm {
    pub(super) report: Report,
    pub(super) failures: Vec<(String, Failure)>,
}

impl Form {
    pub(super) fn new(uploads: &Arc<Uploads>, directory: Place, form: FormData) -> Self {
        let (uploads, part) = (uploads.clone(), PartState::Skip);
        Self { uploads, directory, form, part, report: Report::default(), failures: Vec::new() }
    }

    /// Reads a part of the body, and returns how much of it was used.
    ///
    /// # Errors
    /// Returns an error if the rest of the form is of no use.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let mut used = 0;
        loop {
            let (n, event) = self.form.advance(&bytes[used..]).map_err(Refusal::Form)?;
            match event {
                Event::NeedData | Event::End => return Ok(used + n),
                Event::Part(part) => self.part = self.begin(part.filename.as_deref())?,
                Event::Data(data) => self.store(data)?,
                Event::PartEnd => self.end()?,
            }
            used += n;
        }
    }

    /// The file that a part begins.
    fn begin(&mut self, filename: Option<&[u8]>) -> Result<PartState, Failure> {
        let filename = match filename {
            None | Some(b"") => return Ok(PartState::Skip), // nothing was chosen
            Some(filename) => filename,
        };
        let name = match name::clean(filename, self.uploads.settings.max_name) {
            Ok(name) => name,
            Err(error) => {
                let shown = String::from_utf8_lossy(filename).chars().take(MAX_SHOWN).collect();
                return self.refuse(shown, Refusal::Name(error).into());
            }
        };
        let writer = FileWriter::new(&self.uploads, &self.directory, &name, None);
        match writer {
            Ok(writer) => Ok(PartState::Store(writer)),
            Err(failure) => self.refuse(name, failure),
        }
    }

    fn store(&mut self, data: &[u8]) -> Result<(), Failure> {
        let PartState::Store(writer) = &mut self.part else { return Ok(()) };
        if let Err(failure) = writer.write(data) {
            let name = writer.name.clone();
            self.part = self.refuse(name, failure)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        let part = mem::replace(&mut self.part, PartState::Skip);
        let PartState::Store(writer) = part else { return Ok(()) };
        let name = writer.name.clone();
        match writer.publish() {
            Ok(stored) => self.report.stored(&name, stored.size),
            Err(failure) => _ = self.refuse(name, failure)?,
        }
        Ok(())
    }

    /// Goes on without a file.
    ///
    /// # Errors
    /// Returns an error if the others would be refused, too.
    fn refuse(&mut self, name: String, failure: Failure) -> Result<PartState, Failure> {
        self.report.refused(&name, failure.refusal);
        let refusal = failure.refusal;
        self.failures.push((name, failure));
        match refusal.ends_form() {
            true => Err(refusal.into()),
            false => Ok(PartState::Skip),
        }
    }

    /// Ends a form of which no more will come: returns the name of the file that was being received, if
    /// it is known, and what was refused before.
    pub(super) fn interrupt(self) -> (Option<String>, Vec<(String, Failure)>) {
        let name = match self.part {
            PartState::Store(writer) => Some(writer.name),
            PartState::Skip => None,
        };
        (name, self.failures)
    }

    /// Ends a form of which everything was received, or nothing more can be used.
    pub(super) fn finish(mut self, read: Result<(), Failure>) -> ReceivedForm {
        let read =
            read.and_then(|()| self.form.finish().map_err(|error| Refusal::Form(error).into()));
        if let Err(failure) = read {
            // The failure of a file is in the report already.
            if self.failures.last().is_none_or(|(_, last)| last.refusal != failure.refusal) {
                self.report.ended(failure.refusal);
                self.failures.push((String::new(), failure));
            }
        }
        ReceivedForm { report: self.report, failures: self.failures }
    }
}
