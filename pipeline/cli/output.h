#pragma once

#include <string>

#include <graft/value.h>

/// \file
/// Standard output of the program. Commands print text to stdout as they like. With --json, what goes to
/// stdout is one JSON document, in success and in failure, and nothing else, whatever a plugin or a library
/// prints.
namespace graft::cli {

/// To be called before anything is opened: the descriptor of a closed standard stream must not be reused for
/// a file of the store.
void open_standard_streams();

/// From here on stdout is for the document only; all other output goes to stderr.
void begin_document();
/// Prints the document. Only the first counts.
void print_document(const Value& document);

/// Records that printing to stdout failed; finish_output reports it.
void note_output_error(int error);

/// At the end of every command. Returns `exit_code`, or kFailed with a message if output could not be
/// written. `why` is the document of a failure that printed none.
int finish_output(int exit_code, const std::string& why);

}  // namespace graft::cli
