#pragma once

#include <string>
#include <vector>

#include <graft/predictor.h>
#include <graft/stage.h>

/// \file
/// Checks of plugin output where it enters the graph. Each returns an error message, or an empty text if the
/// output is valid.

namespace graft {

/// An output of a stage: missing data, invalid extents and strides, a file that only a source may name.
GRAFT_API std::string fault_of_payload(const Payload& payload, bool may_be_file = false);

/// A row of a table: at most 8 extents, each of at least 1, at most 1 GiB.
GRAFT_API std::string fault_of_format(const Collector::RowFormat& format);

/// Classes of a source: no empty name, no name twice.
GRAFT_API std::string fault_of_classes(const std::vector<std::string>& classes);

/// An input of a source; `classes`: the number of classes.
GRAFT_API std::string fault_of_entry(const Entry& entry, std::size_t classes);

/// Scores of `rows` rows: as many as there are rows and classes. Of their values, see improper_scores().
GRAFT_API std::string fault_of_scores(const Scores& scores, std::size_t rows, std::size_t classes);

/// Scores that are handed to people: every one a finite number.
GRAFT_API std::string fault_of_values(const Scores& scores);

/// `train_val`: how many rows neighbours may be taken from.
GRAFT_API std::string fault_of_neighbours(const Neighbours& found, std::size_t rows, std::size_t train_val);

/// Tensors with data of their shape, none of them named twice; facts as a map.
GRAFT_API std::string fault_of_bundle(const Bundle& bundle);

/// A file that a report leaves: one name, no path.
GRAFT_API std::string fault_of_file_name(const std::string& name);

}  // namespace graft
