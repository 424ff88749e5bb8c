#pragma once

#include <string>

#include <graft/value.h>

/// \file
/// Standard output of the program. Commands print text to stdout as they like. With --json, what goes to
/// stdout is one JSON document, in success and in failure, and nothing else, whatever a plugin or a library
/// prints.
namespace graft::cli {

/// Before anything is opened: a standard stream that the caller has closed must not become a file of the
/// store.
void open_standard_streams();

/// From here on stdout is for the document; everything else that is printed to it goes to stderr.
void begin_document();
/// Prints the document. Only the first counts.
void print_document(const Value& document);

/// Notes that printing to stdout failed half-way; finish_output says it.
void note_output_error(int error);

/// At the end of every command. `exit_code`, unless output could not be written: that is said, and is
/// kFailed. `why` is the document of a failure that printed none.
int finish_output(int exit_code, const std::string& why);

}  // namespace graft::cli
