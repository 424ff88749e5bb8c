// What plugins and graft must agree on: the layout of the public types, made from the headers and compared
// with the list of the API number that the headers have.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include <graft/inspector.h>
#include <graft/plugin.h>

#include "temp_folder.h"

// Members of classes that are more than C structs have places, too; compilers only will not promise it for
// virtual bases, of which there are none.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

// The sizes of the types themselves are what is compared.
// NOLINTBEGIN(bugprone-sizeof-container,bugprone-sizeof-expression)
namespace graft {
namespace {

/// A class that continues the table of virtual functions of T: where its own one is, T's end.
template <typename T>
struct AfterTheLast : T {
  virtual void last();
};

/// The place of a virtual function in its table, as the C++ ABI of x86-64 has it.
template <typename Function>
long slot_of(Function function) {
  static_assert(sizeof function == 2 * sizeof(long));
  return (std::bit_cast<std::array<long, 2>>(function)[0] - 1) / static_cast<long>(sizeof(void*));
}

class AbiList {
 public:
  AbiList() { out_ << "api " << GRAFT_PLUGIN_API << "\n"; }
  template <typename T>
  AbiList& type(const char* name) {
    out_ << "\n" << name << " " << sizeof(T) << " aligned to " << alignof(T) << "\n";
    return *this;
  }
  AbiList& member(const char* name, std::size_t offset, std::size_t size) {
    out_ << "  " << name << " at " << offset << ", " << size << "\n";
    return *this;
  }
  AbiList& function(const char* name, long slot) {
    out_ << "  virtual " << name << " " << slot << "\n";
    return *this;
  }
  AbiList& value(const char* name, long value) {
    out_ << "  " << name << " = " << value << "\n";
    return *this;
  }
  std::string text() const { return out_.str(); }

 private:
  std::ostringstream out_;
};

#define TYPE(T) list.type<T>(#T)
#define MEMBER(T, m) list.member(#m, offsetof(T, m), sizeof(T::m))
#define VIRTUAL(T, f) list.function(#f, slot_of(&T::f))
#define END(T) list.function("end", slot_of(&AfterTheLast<T>::last))
#define VALUE(T, v) list.value(#v, static_cast<long>(T::v))

void add_payloads(AbiList& list) {
  TYPE(DType);
  VALUE(DType, U8), VALUE(DType, F16), VALUE(DType, F32), VALUE(DType, I64);
  TYPE(Split);
  VALUE(Split, Train), VALUE(Split, Val), VALUE(Split, Test);
  TYPE(Digest);
  MEMBER(Digest, high), MEMBER(Digest, low);
  TYPE(FileRef);
  MEMBER(FileRef, path), MEMBER(FileRef, size), MEMBER(FileRef, mtime_ns), MEMBER(FileRef, member);
  MEMBER(FileRef, ctime_ns);
  TYPE(Bytes);
  MEMBER(Bytes, owner), MEMBER(Bytes, data), MEMBER(Bytes, size);
  TYPE(Image);
  MEMBER(Image, owner), MEMBER(Image, data), MEMBER(Image, width), MEMBER(Image, height),
      MEMBER(Image, stride);
  TYPE(Tensor);
  MEMBER(Tensor, dtype), MEMBER(Tensor, shape), MEMBER(Tensor, owner), MEMBER(Tensor, data);
  TYPE(Payload);
  TYPE(Entry);
  MEMBER(Entry, key), MEMBER(Entry, split), MEMBER(Entry, labels), MEMBER(Entry, content),
      MEMBER(Entry, payload);
  MEMBER(Entry, negative);
  TYPE(Item);
  MEMBER(Item, entry), MEMBER(Item, view), MEMBER(Item, payload);
  TYPE(Value);
}

void add_schemas(AbiList& list) {
  TYPE(ParamSpec::Kind);
  VALUE(ParamSpec::Kind, Flag), VALUE(ParamSpec::Kind, OneOf);
  TYPE(ParamSpec);
  MEMBER(ParamSpec, name);
  MEMBER(ParamSpec, kind);
  MEMBER(ParamSpec, text);
  MEMBER(ParamSpec, unit_name);
  MEMBER(ParamSpec, default_value);
  MEMBER(ParamSpec, is_required);
  MEMBER(ParamSpec, may_be_null);
  MEMBER(ParamSpec, changes_output);
  MEMBER(ParamSpec, is_later);
  MEMBER(ParamSpec, default_then);
  MEMBER(ParamSpec, former_name);
  MEMBER(ParamSpec, use_instead);
  MEMBER(ParamSpec, scalar_ok);
  MEMBER(ParamSpec, min);
  MEMBER(ParamSpec, max);
  MEMBER(ParamSpec, min_items);
  MEMBER(ParamSpec, max_items);
  MEMBER(ParamSpec, choices);
  MEMBER(ParamSpec, service);
  MEMBER(ParamSpec, folder_files);
  MEMBER(ParamSpec, auto_feature);
  MEMBER(ParamSpec, auto_choice);
  MEMBER(ParamSpec, fields);
  MEMBER(ParamSpec, replaced);
  MEMBER(ParamSpec, followed);
  MEMBER(ParamSpec, unless);
  TYPE(Params);
  TYPE(StageKind);
  VALUE(StageKind, Source), VALUE(StageKind, Transform), VALUE(StageKind, BatchTransform);
  VALUE(StageKind, Collector), VALUE(StageKind, Learner), VALUE(StageKind, Report), VALUE(StageKind, Service);
  VALUE(StageKind, Calibrator);
  TYPE(PortType);
  VALUE(PortType, Bytes), VALUE(PortType, Image), VALUE(PortType, Tensor), VALUE(PortType, Table);
  VALUE(PortType, Predictor);
  TYPE(PortSpec);
  MEMBER(PortSpec, name), MEMBER(PortSpec, type), MEMBER(PortSpec, shape), MEMBER(PortSpec, text);
  MEMBER(PortSpec, many);
  TYPE(ViewsRule);
  TYPE(KnownFault);
  TYPE(FigureSpec);
  MEMBER(FigureSpec, name);
  MEMBER(FigureSpec, is_higher_better);
  MEMBER(FigureSpec, heading);
  MEMBER(FigureSpec, text);
  MEMBER(FigureSpec, is_in_summary);
  MEMBER(FigureSpec, choice);
  TYPE(Figure);
  MEMBER(Figure, learner);
  MEMBER(Figure, split);
  MEMBER(Figure, n);
  MEMBER(Figure, value);
  MEMBER(Figure, undefined);
  MEMBER(Figure, interval);
  TYPE(WorkingMemory);
  MEMBER(WorkingMemory, bytes), MEMBER(WorkingMemory, per_payload_byte);
  TYPE(PluginSchema);
  MEMBER(PluginSchema, name);
  MEMBER(PluginSchema, version);
  MEMBER(PluginSchema, former_name);
  MEMBER(PluginSchema, kind);
  MEMBER(PluginSchema, summary);
  MEMBER(PluginSchema, inputs);
  MEMBER(PluginSchema, outputs);
  MEMBER(PluginSchema, params);
  MEMBER(PluginSchema, example_config);
  MEMBER(PluginSchema, views);
  MEMBER(PluginSchema, needs);
  MEMBER(PluginSchema, libraries);
  MEMBER(PluginSchema, known_faults);
  MEMBER(PluginSchema, figures);
  MEMBER(PluginSchema, memory_of_call);
  MEMBER(PluginSchema, covers_whole_run);
  MEMBER(PluginSchema, inspects);
  MEMBER(PluginSchema, output_depends_on_key);
  MEMBER(PluginSchema, output_depends_on_seed);
  TYPE(graft_plugin_descriptor);
  MEMBER(graft_plugin_descriptor, struct_size), MEMBER(graft_plugin_descriptor, api_version);
  MEMBER(graft_plugin_descriptor, abi_tag), MEMBER(graft_plugin_descriptor, name);
  MEMBER(graft_plugin_descriptor, version), MEMBER(graft_plugin_descriptor, schema);
  MEMBER(graft_plugin_descriptor, create), MEMBER(graft_plugin_descriptor, inspect);
  TYPE(graft_inspector_descriptor);
  MEMBER(graft_inspector_descriptor, api_version), MEMBER(graft_inspector_descriptor, abi_tag);
  MEMBER(graft_inspector_descriptor, inspect);
}

void add_stages(AbiList& list) {
  TYPE(StageContext);
  MEMBER(StageContext, id), MEMBER(StageContext, params), MEMBER(StageContext, seed),
      MEMBER(StageContext, threads);
  MEMBER(StageContext, warn), MEMBER(StageContext, service), MEMBER(StageContext, input_shape);
  MEMBER(StageContext, listed_inputs), MEMBER(StageContext, keep_waiting);
  TYPE(Inspection);
  MEMBER(Inspection, faults), MEMBER(Inspection, output_shapes);
  TYPE(Inspection::Fault);
  TYPE(Stage);
  VIRTUAL(Stage, enter_worker), VIRTUAL(Stage, finish), VIRTUAL(Stage, facts), END(Stage);
  TYPE(Service);
  END(Service);
  TYPE(Source);
  VIRTUAL(Source, classes), VIRTUAL(Source, count), VIRTUAL(Source, next), VIRTUAL(Source, load), END(Source);
  TYPE(ForwardSource);
  VIRTUAL(ForwardSource, read_current), END(ForwardSource);
  TYPE(Transform);
  VIRTUAL(Transform, apply), VIRTUAL(Transform, views), END(Transform);
  TYPE(BatchOutput);
  VIRTUAL(BatchOutput, set), VIRTUAL(BatchOutput, reject), END(BatchOutput);
  TYPE(BatchTransform);
  VIRTUAL(BatchTransform, batch_size), VIRTUAL(BatchTransform, concurrency), VIRTUAL(BatchTransform, apply);
  END(BatchTransform);
  TYPE(Collector::RowFormat);
  TYPE(Collector::Compression);
  TYPE(Collector);
  VIRTUAL(Collector, compression), VIRTUAL(Collector, format), VIRTUAL(Collector, encode), END(Collector);
}

void add_learners(AbiList& list) {
  TYPE(RowSet);
  VIRTUAL(RowSet, rows), VIRTUAL(RowSet, shape), VIRTUAL(RowSet, dtype), VIRTUAL(RowSet, key),
      VIRTUAL(RowSet, view);
  VIRTUAL(RowSet, split), VIRTUAL(RowSet, labels), VIRTUAL(RowSet, negative), VIRTUAL(RowSet, read);
  VIRTUAL(RowSet, read_raw), END(RowSet);
  TYPE(Scores);
  TYPE(Bundle);
  MEMBER(Bundle, facts), MEMBER(Bundle, tensors), MEMBER(Bundle, large);
  TYPE(TensorReader);
  VIRTUAL(TensorReader, dtype), VIRTUAL(TensorReader, shape), VIRTUAL(TensorReader, read), END(TensorReader);
  TYPE(Parallel);
  VIRTUAL(Parallel, for_each), VIRTUAL(Parallel, threads), END(Parallel);
  TYPE(Interruptible);
  TYPE(Neighbours);
  MEMBER(Neighbours, k), MEMBER(Neighbours, rows), MEMBER(Neighbours, similarity);
  TYPE(Predictor);
  VIRTUAL(Predictor, predict), VIRTUAL(Predictor, neighbours), VIRTUAL(Predictor, save), END(Predictor);
  TYPE(TrainingTable);
  MEMBER(TrainingTable, stage), MEMBER(TrainingTable, train), MEMBER(TrainingTable, val);
  MEMBER(TrainingTable, train_val);
  TYPE(LearnerInput);
  MEMBER(LearnerInput, tables), MEMBER(LearnerInput, classes), MEMBER(LearnerInput, work_folder);
  MEMBER(LearnerInput, multi_label);
  TYPE(LearnerResult);
  MEMBER(LearnerResult, predictor), MEMBER(LearnerResult, val), MEMBER(LearnerResult, summary);
  TYPE(Learner);
  VIRTUAL(Learner, fit), VIRTUAL(Learner, load), END(Learner);
  TYPE(Predictions::Part);
  MEMBER(Predictions::Part, keys), MEMBER(Predictions::Part, labels), MEMBER(Predictions::Part, scores);
  MEMBER(Predictions::Part, negative);
  TYPE(Predictions);
  MEMBER(Predictions, learner), MEMBER(Predictions, classes), MEMBER(Predictions, val),
      MEMBER(Predictions, test);
  MEMBER(Predictions, summary), MEMBER(Predictions, multi_label);
  TYPE(Calibration);
  VIRTUAL(Calibration, apply), VIRTUAL(Calibration, save), END(Calibration);
  TYPE(CalibratorResult);
  TYPE(Calibrator);
  VIRTUAL(Calibrator, fit), VIRTUAL(Calibrator, load), END(Calibrator);
  TYPE(Trials::Input);
  TYPE(Trials::Rows);
  TYPE(Trials::Result);
  TYPE(Trials);
  VIRTUAL(Trials, inputs), VIRTUAL(Trials, fit), END(Trials);
  TYPE(RunRecord::StageRecord);
  TYPE(RunRecord);
  VIRTUAL(RunRecord, stages), VIRTUAL(RunRecord, results), VIRTUAL(RunRecord, images), END(RunRecord);
  TYPE(ReportInput);
  MEMBER(ReportInput, columns);
  TYPE(ReportOutput);
  MEMBER(ReportOutput, figures), MEMBER(ReportOutput, learners), MEMBER(ReportOutput, facts);
  MEMBER(ReportOutput, text), MEMBER(ReportOutput, files), MEMBER(ReportOutput, page);
  TYPE(Report);
  VIRTUAL(Report, report), END(Report);
}

#undef TYPE
#undef MEMBER
#undef VIRTUAL
#undef END
#undef VALUE

TEST(Abi, TheTypesThatPluginsSeeAreThoseOfTheirNumber) {
#if !defined(__x86_64__) || !_GLIBCXX_USE_CXX11_ABI || defined(_GLIBCXX_DEBUG)
  GTEST_SKIP() << "the list is of x86-64 and libstdc++ with its usual ABI";
#endif
  AbiList list;
  add_payloads(list);
  add_schemas(list);
  add_stages(list);
  add_learners(list);
  const std::string file = GRAFT_TEST_DATA "/abi.txt", known = test::slurp(file), now = list.text();
  if (std::getenv("GRAFT_WRITE_ABI") != nullptr) {
    std::ofstream(file) << now;
    GTEST_SKIP() << "wrote " << file;
  }
  const std::string number = now.substr(0, now.find('\n') + 1);
  ASSERT_TRUE(known.starts_with(number))
      << file
      << " is of another API number than graft/version.h; when all that is to change has changed, write it "
      << "again: GRAFT_WRITE_ABI=1 unit_test --gtest_filter='Abi.*'";
  EXPECT_EQ(known, now)
      << "types that plugins see have changed: raise GRAFT_PLUGIN_API in graft/version.h, so that "
         "plugins built before are refused, and write "
      << file << " again: GRAFT_WRITE_ABI=1 unit_test --gtest_filter='Abi.*'";
}

}  // namespace
}  // namespace graft
// NOLINTEND(bugprone-sizeof-container,bugprone-sizeof-expression)
