#include <network/weight_file.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>

#include <graft/error.h>
#include <graft/random.h>
#include <graft/safetensors.h>
#include <graft/testing/error_of.h>

#include <network/testing/checkpoint_writer.h>
#include <network/testing/test_tensors.h>
#include <network/testing/zip_writer.h>
#include "sanitizers.h"
#include "temp_folder.h"

namespace graft::nn {
namespace {

using graft::testing::error_of;
using namespace std::string_literals;
using test::equal;
using test::Tensors;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kData = GRAFT_NETWORK_TESTDATA "/";

Tensors read_all(const std::filesystem::path& path) {
  const auto file = open_weights(path);
  std::vector<std::string> names;
  for (const TensorInfo& t : file->tensors())
    if (t.type != "U8") names.push_back(t.name);
  return file->read(names);
}

/// Element i of the fixtures' `base`.
float base(int i) {
  return static_cast<float>(3 * i - 7) / 4;
}

/// The elements of a tensor, each found in `base` by its index.
void expect_base(const Tensor& t, const Shape& shape, const std::function<int(int, int, int)>& index) {
  ASSERT_EQ(t.shape, shape);
  const auto extent = [&](std::size_t d) { return static_cast<int>(d < shape.size() ? shape[d] : 1); };
  const float* value = t.as<float>();
  for (int i = 0; i < extent(0); ++i)
    for (int j = 0; j < extent(1); ++j)
      for (int k = 0; k < extent(2); ++k)
        EXPECT_EQ(*value++, base(index(i, j, k))) << i << " " << j << " " << k;
}

/// A new file each time: rewriting one makes some file systems wait for the disk.
std::filesystem::path fresh(const test::TempFolder& folder, const std::string& content) {
  std::filesystem::remove(folder / "x");
  return folder.write("x", content);
}

std::string safetensors(const std::string& header, const std::string& data = {}) {
  const std::uint64_t n = header.size();
  return std::string(reinterpret_cast<const char*>(&n), 8) + header + data;
}

// --- What PyTorch writes ---------------------------------------------------------------------------------

TEST(TorchFile, EveryTypeBecomesFloat) {
  for (const char* name : {"types.pth", "protocol4.pth"}) {
    SCOPED_TRACE(name);
    const auto file = open_weights(kData + name);
    EXPECT_EQ(file->format(), "PyTorch state_dict");
    ASSERT_EQ(file->tensors().size(), 6u);
    EXPECT_EQ(file->find("bfloat16")->type, "BF16");
    const Tensors got = file->read({"float32", "float16", "bfloat16", "float64", "int64"});
    for (const char* type : {"float32", "float16", "bfloat16", "float64"})
      expect_base(got.at(type), {2, 3, 4}, [](int i, int j, int k) { return 12 * i + 4 * j + k; });
    for (int i = 0; i < 24; ++i) EXPECT_EQ(got.at("int64").as<float>()[i], static_cast<float>(i));
    EXPECT_EQ(error_of([&] { file->read({"uint8"}); }),
              kData + name +
                  ": tensor 'uint8' has type U8: expected F32, F16, BF16, F64 or I64; save it as "
                  "floating-point numbers (dequantise quantised weights first)");
    EXPECT_EQ(error_of([&] { file->read({"float23"}); }), kData + name + ": has no tensor 'float23'");
  }
}

TEST(TorchFile, ViewsBecomeContiguous) {
  for (const char* name : {"views.pth", "legacy.pth"}) {
    SCOPED_TRACE(name);
    const Tensors got = read_all(kData + name);
    ASSERT_EQ(got.size(), 11u);
    expect_base(got.at("whole"), {2, 3, 4}, [](int i, int j, int k) { return 12 * i + 4 * j + k; });
    expect_base(got.at("transposed"), {4, 2, 3}, [](int i, int j, int k) { return i + 12 * j + 4 * k; });
    expect_base(got.at("row"), {4}, [](int i, int, int) { return 20 + i; });
    expect_base(got.at("column"), {2, 3}, [](int i, int j, int) { return 12 * i + 4 * j + 1; });
    expect_base(got.at("every_second"), {2, 3, 2},
                [](int i, int j, int k) { return 12 * i + 4 * j + 2 * k; });
    expect_base(got.at("expanded"), {3, 4}, [](int, int j, int) { return j; });
    Tensor image = got.at("channels_last");
    ASSERT_EQ(image.shape, (Shape{1, 2, 3, 4}));
    image.shape = {2, 3, 4};
    expect_base(image, {2, 3, 4}, [](int i, int j, int k) { return 12 * i + 4 * j + k; });
    expect_base(got.at("scalar"), {}, [](int, int, int) { return 17; });
    EXPECT_EQ(got.at("empty").shape, (Shape{0, 5}));
    expect_base(got.at("parameter"), {2, 3}, [](int i, int j, int) { return 3 * i + j; });
    expect_base(got.at("half_transposed"), {6, 4}, [](int i, int j, int) { return i + 6 * j; });
  }
  EXPECT_EQ(open_weights(kData + "legacy.pth")->format(), "PyTorch state_dict (old format)");
}

TEST(TorchFile, OverlappingStridesAreRefused) {
  const auto file = open_weights(kData + "overlapping.pth");
  EXPECT_EQ(error_of([&] { file->read({"window"}); }),
            kData + "overlapping.pth: tensor 'window' has strides that overlap; save it with .contiguous()");
}

TEST(TorchFile, ACheckpointIsUnwrapped) {
  const auto file = open_weights(kData + "checkpoint.pth");
  ASSERT_EQ(file->tensors().size(), 7u);
  const Tensors got = file->read({"module.conv.weight", "module.bn.running_var"});
  EXPECT_THAT(got.at("module.conv.weight").shape, ElementsAre(4, 3, 3, 3));
  for (int i = 0; i < 108; ++i) EXPECT_EQ(got.at("module.conv.weight").as<float>()[i], static_cast<float>(i));
  EXPECT_EQ(got.at("module.bn.running_var").as<float>()[3], 1);
}

TEST(TorchFile, NamesAreUtf8InAnyLocale) {
  expect_base(read_all(kData + "cyrillic.pth").at("w"), {24}, [](int i, int, int) { return i; });
}

TEST(TorchFile, CodeIsRefusedByName) {
  EXPECT_THAT(error_of([] { open_weights(kData + "model.pth"); }),
              HasSubstr("model.pth: its pickle names torch.nn.modules.linear.Linear: expected a state_dict"));
  EXPECT_EQ(error_of([] { open_weights(kData + "script.pt"); }),
            kData +
                "script.pt: is a TorchScript archive, which is code and no weights; give it as the model of "
                "backbone (`model:`) if you trust it, or save model.state_dict()");
}

TEST(TorchFile, ATorchScriptIsLookedIntoWithoutRunningIt) {
  const auto contents = inspect_torchscript(kData + "script.pt");
  ASSERT_TRUE(contents);
  ASSERT_GE(contents->code.size(), 1u);
  EXPECT_THAT(contents->code[0].first, HasSubstr("code/__torch__/torch/nn/modules/linear.py"));
  EXPECT_EQ(contents->tensors, 2u);
  EXPECT_EQ(contents->tensor_bytes, 24u);
  EXPECT_FALSE(inspect_torchscript(kData + "types.pth"));
  EXPECT_FALSE(inspect_torchscript(kData + "legacy.pth"));
}

TEST(TorchFile, RealWeightsAreTheSameInBothFormats) {
  const char* data = std::getenv("GRAFT_DATA");
  if (data == nullptr) GTEST_SKIP() << "GRAFT_DATA is not set";
  for (const char* name : {"resnet20_cifar10", "resnet56_cifar10"}) {
    const std::string path = std::string(data) + "/weights/" + name;
    EXPECT_TRUE(equal(read_all(path + ".pth"), read_all(path + ".safetensors"))) << name;
  }
}

// --- safetensors -----------------------------------------------------------------------------------------

TEST(Safetensors, EveryTypeBecomesFloat) {
  const test::TempFolder folder;
  // 1.5, -2 and the smallest subnormal half; then bfloat16, double and integers.
  const std::string data = "\x00\x3e\x00\xc0\x01\x00"s + "\xc0\x3f\x00\xc0"s + "\0\0\0\0\0\0\xf8\x3f"s +
                           "\xfe\xff\xff\xff\xff\xff\xff\xff"s;
  const auto path =
      folder.write("x", safetensors(R"({"b":{"dtype":"BF16","shape":[2],"data_offsets":[6,10]},)"
                                    R"("__metadata__":{"arch":"none","a\"b":"é"},)"
                                    R"("h":{"dtype":"F16","shape":[3,1],"data_offsets":[0,6]},)"
                                    R"("d":{"data_offsets":[10,18],"shape":[],"dtype":"F64"},)"
                                    R"("i":{"dtype":"I64","shape":[1],"data_offsets":[18,26]}}  )",
                                    data));
  const auto file = open_weights(path);
  EXPECT_EQ(file->format(), "safetensors");
  EXPECT_THAT(file->metadata(), ElementsAre(std::pair("arch"s, "none"s), std::pair("a\"b"s, "é"s)));
  const Tensors got = read_all(path);
  EXPECT_EQ(got.at("h").as<float>()[0], 1.5f);
  EXPECT_EQ(got.at("h").as<float>()[1], -2.0f);
  EXPECT_EQ(got.at("h").as<float>()[2], 0x1p-24f);
  EXPECT_EQ(got.at("b").as<float>()[0], 1.5f);
  EXPECT_EQ(got.at("b").as<float>()[1], -2.0f);
  EXPECT_EQ(got.at("d").as<float>()[0], 1.5f);
  EXPECT_EQ(got.at("d").shape, Shape{});
  EXPECT_EQ(got.at("i").as<float>()[0], -2.0f);
}

TEST(Safetensors, WrongHeadersAreNamed) {
  const test::TempFolder folder;
  const auto message = [&](const std::string& header, std::size_t data) {
    const std::string text =
        error_of([&] { open_weights(folder.write("x", safetensors(header, std::string(data, 'x')))); });
    const std::string start = (folder / "x").string() + ": is not a valid safetensors file: ";
    return text.substr(0, start.size()) == start ? text.substr(start.size()) : text;
  };
  const auto entry = [](const char* name, const char* shape, int begin, int end, const char* type = "F32") {
    return "\""s + name + R"(":{"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":[)" +
           std::to_string(begin) + "," + std::to_string(end) + "]}";
  };
  EXPECT_EQ(message("{" + entry("a", "[2]", 0, 8) + "," + entry("b", "[2]", 4, 12) + "}", 12),
            "tensor 'b' does not begin where the one before ends");
  EXPECT_EQ(message("{" + entry("a", "[2]", 0, 8) + "," + entry("b", "[1]", 12, 16) + "}", 16),
            "tensor 'b' does not begin where the one before ends");
  EXPECT_EQ(message("{" + entry("a", "[2]", 0, 8) + "}", 12), "4 bytes belong to no tensor");
  EXPECT_EQ(message("{" + entry("a", "[4]", 0, 16) + "}", 8),
            "tensor 'a' lies at bytes 0 to 16, the file has 8: it is truncated or damaged");
  EXPECT_EQ(message("{" + entry("a", "[2]", 0, 8) + "," + entry("a", "[2]", 8, 16) + "}", 16),
            "the name 'a' comes twice");
  EXPECT_EQ(message("{" + entry("a", "[1]", 0, 8) + "}", 8),
            "tensor 'a': F32 of shape [1] needs 4 bytes, its range has 8");
  EXPECT_EQ(message("{" + entry("a", "[4611686018427387904,4]", 0, 8) + "}", 8),
            "tensor 'a' has shape [4611686018427387904,4], more than the file holds");
  EXPECT_THAT(message("{" + entry("a", "[0,4611686018427387904,4611686018427387904]", 0, 0) + "}", 0),
              HasSubstr("more than the file holds"));
  EXPECT_EQ(message("{" + entry("a", "[2]", 0, 16, "F33") + "}", 8),
            "tensor 'a' lies at bytes 0 to 16, the file has 8: it is truncated or damaged");
  EXPECT_EQ(message(R"({"a":{"dtype":"F32","shape":[2]}})", 8),
            "tensor 'a' lacks dtype, shape or data_offsets");
  EXPECT_EQ(message(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", 8),
            "tensor 'a': expected two data_offsets, got 1");
  EXPECT_EQ(message(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8),
            "a negative number where the header's 'a.shape' does not have one");
  EXPECT_EQ(message(R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", 8),
            "a number where the header's 'a.shape' does not have one");
  EXPECT_EQ(message(R"({"a":{"dtype":"F32","layout":"x","shape":[2],"data_offsets":[0,8]}})", 8),
            "tensor 'a' has the unknown key 'layout'");
  EXPECT_EQ(message(R"({"a":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}})", 8),
            "tensor 'a' has the key 'dtype' twice");
  EXPECT_EQ(message(R"({"a":7})", 8), "a number where the header's 'a' does not have one");
  EXPECT_EQ(message("{\"a\":" + std::string(100'000, '['), 8),
            "a list where the header's 'a' does not have one");
  EXPECT_EQ(message("{,", 8), "its header is not valid JSON at byte 2");
  std::string rank33 = "[1";
  for (int i = 0; i < 32; ++i) rank33 += ",1";
  rank33 += "]";
  EXPECT_EQ(message("{" + entry("a", rank33.c_str(), 0, 4) + "}", 4),
            "tensor 'a' has more than 32 dimensions");
  EXPECT_THAT(message("{" + entry("a\\n", "[2]", 0, 8) + "}", 8), HasSubstr("has a tensor named 'a\\n'"));
}

TEST(Safetensors, ATensorOfANewTypeIsRefusedWhereItIsWanted) {
  const test::TempFolder folder;
  const auto path = fresh(folder, safetensors(R"({"a":{"dtype":"F4","shape":[16],"data_offsets":[0,8]},)"
                                              R"("b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                                              std::string(12, '\0')));
  const auto file = open_weights(path);
  EXPECT_EQ(*file->read({"b"}).at("b").as<float>(), 0);
  EXPECT_EQ(error_of([&] { file->read({"a"}); }),
            path.string() +
                ": tensor 'a' has type F4: expected F32, F16, BF16, F64 or I64; save it as "
                "floating-point numbers (dequantise quantised weights first)");
}

TEST(Safetensors, TheHeaderIsNotReadBeforeItsLengthIsChecked) {
  const test::TempFolder folder;
  std::string file = safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "12345678");
  file[7] = '\x7f';
  const std::string path = folder.write("x", file).string();
  EXPECT_EQ(
      error_of([&] { open_weights(path); }),
      path + ": its header claims " + std::to_string(0x7f00000000000000ULL + 54) +
          " bytes, the file has 70 and at most 16777216 are read: it is truncated or damaged; copy it again");
}

// --- Anything else ---------------------------------------------------------------------------------------

TEST(WeightFile, OtherFilesAreToldApart) {
  const test::TempFolder folder;
  const std::string at = folder.path().string();
  EXPECT_EQ(error_of([&] { open_weights(folder / "no"); }),
            at + "/no: cannot be read: No such file or directory");
  EXPECT_EQ(error_of([&] { open_weights(folder.path()); }),
            at + ": expected a file, got a folder or a device");
  ASSERT_EQ(::mkfifo((at + "/fifo").c_str(), 0600), 0);
  EXPECT_EQ(error_of([&] { open_weights(folder / "fifo"); }),
            at + "/fifo: expected a file, got a folder or a device");
  EXPECT_EQ(
      error_of([&] { open_weights(folder.write("empty", "")); }),
      at + "/empty: expected weights as safetensors or as a state_dict of torch.save, got an empty file; "
           "download or copy it again");
  EXPECT_EQ(error_of([&] { open_weights(folder.write("odd", "\x01\x02\x03\x04\x05\x06\x07\xff....")); }),
            at + "/odd: expected weights as safetensors or as a state_dict of torch.save, got a file that "
                 "begins with 01 02 03 04 05 06 07 ff");
  EXPECT_EQ(error_of([&] {
              open_weights(folder.write("zip", test::make_zip({{"a/b.txt", "hello"}})));
            }),
            at + "/zip: is a zip archive without a data.pkl: expected a state_dict of torch.save, or a "
                 "safetensors file");
}

// --- Hostile archives ------------------------------------------------------------------------------------

/// A state_dict with one float tensor 'w' of `elements` in storage `key`.
std::string pickle(const std::string& key, int elements, int storage) {
  const auto number = [](int n) {
    return std::string("J") + static_cast<char>(n) + static_cast<char>(n >> 8) + static_cast<char>(n >> 16) +
           static_cast<char>(n >> 24);
  };
  const auto text = [](const std::string& t) { return "\x8c"s + static_cast<char>(t.size()) + t; };
  return "\x80\x02}"s + text("w") + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") +
         "ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(storage) + "tQK\0("s + number(elements) +
         "t(K\x01t\x89)tRs.";
}

TEST(HostileZip, EntriesThatDoNotFitAreRefused) {
  const test::TempFolder folder;
  const auto message = [&](const std::string& zip) {
    const std::string text = error_of([&] { read_all(folder.write("x", zip)); });
    const std::string at = (folder / "x").string() + ": ";
    return text.substr(0, at.size()) == at ? text.substr(at.size()) : text;
  };
  const std::string four(16, '\1');
  EXPECT_EQ(message(test::make_zip({{"m/data.pkl", pickle("0", 4, 4)}, {"m/data/0", four}})), "no error");
  EXPECT_EQ(message(test::make_zip({{"m/data/0", four}, {"m/data.pkl", pickle("0", 4, 4)}})), "no error");
  EXPECT_EQ(
      message(test::make_zip({{"m/data.pkl", pickle("0", 4, 5)}, {"m/data/0", four}})),
      "tensor 'w' needs 5 elements of F32 in data/0, which has 16 bytes: the file is damaged or hostile");
  EXPECT_THAT(message(test::make_zip({{"m/data.pkl", pickle("0", 4, 2'000'000'000)}, {"m/data/0", four}})),
              HasSubstr("needs 2000000000 elements"));
  EXPECT_THAT(message(test::make_zip({{"m/data.pkl", pickle("1", 4, 4)}, {"m/data/0", four}})),
              HasSubstr("in data/1, which has 0 bytes"));
  // A storage is looked up by its whole name below data/; paths go nowhere.
  const std::string up = "../../../../etc/passwd";
  EXPECT_THAT(message(test::make_zip({{"m/data.pkl", pickle(up, 4, 4)}, {"m/data/0", four}})),
              HasSubstr("in data/../../../../etc/passwd, which has 0 bytes"));
  EXPECT_EQ(message(test::make_zip({{"m/data.pkl", pickle("0", 4, 4)}, {"m/data/0", four}, {"../x", "y"}})),
            "no error");
  EXPECT_EQ(
      message(test::make_zip({{"m/data.pkl", pickle("0", 4, 4)}, {"m/data/0", four}, {"m/data/0", four}})),
      "has two entries 'data/0'");
  EXPECT_EQ(
      message(test::make_zip({{"m/data.pkl", pickle("0", 4, 4)}, {"m/data.pkl", "}."}, {"m/data/0", four}})),
      "has two entries data.pkl");
  EXPECT_EQ(message(test::make_zip(
                {{"m/data.pkl", pickle("0", 4, 4)}, {"m/byteorder", "big"}, {"m/data/0", four}})),
            "was saved on a big-endian machine: expected little-endian numbers; save the weights there as "
            "safetensors, whose numbers are the same everywhere");
}

TEST(HostileZip, BombsAreNotUnpacked) {
  const test::TempFolder folder;
  const int elements = 4 << 20;
  const std::string zeros(static_cast<std::size_t>(elements) * 4, '\0');
  const auto message = [&](int wanted) {
    const std::string bomb =
        test::make_zip({{"m/data.pkl", pickle("0", wanted, elements)}, {"m/data/0", zeros}}, true);
    EXPECT_LT(bomb.size(), 100'000u);
    return error_of([&] { read_all(fresh(folder, bomb)); });
  };
  EXPECT_THAT(message(elements), HasSubstr("its tensors have more elements than the file of"));
  // Only four elements are wanted of a storage that would unpack to megabytes.
  EXPECT_THAT(
      message(4),
      HasSubstr("(at 'm/data/0'): expected entries that are not compressed; save the state_dict again "
                "with torch.save"));
  std::string spaces = "\x80\x02"s;
  for (int i = 0; i < 2'000'000; ++i) spaces += "N0";
  EXPECT_THAT(error_of([&] {
                read_all(fresh(folder, test::make_zip({{"m/data.pkl", spaces + "}."}}, true)));
              }),
              HasSubstr("(at 'm/data.pkl'): expected entries that are not compressed"));
  // Deflated, but no bomb: small enough to be safe, so it is read.
  const std::string small =
      test::make_zip({{"m/data.pkl", pickle("0", 4, 4)}, {"m/data/0", std::string(16, '\1')}}, true);
  EXPECT_EQ(read_all(fresh(folder, small)).size(), 1u);
}

TEST(HostileZip, ElementsOutOfNothingAreRefused) {
  // Strides of 0: two thousand million elements in a storage of one.
  const test::TempFolder folder;
  std::string program = pickle("0", 2'000'000'000, 1);
  program.replace(program.find("(K\x01t"), 4, "(K\0t"s);
  const std::string path =
      folder.write("x", test::make_zip({{"m/data.pkl", program}, {"m/data/0", "1234"}})).string();
  EXPECT_THAT(error_of([&] { read_all(path); }),
              HasSubstr("its tensors have more elements than the file of"));
}

TEST(TorchFile, TiedHalvesAreReadUnderBothNames) {
  const test::TempFolder folder;
  constexpr std::int64_t kElements = 100'000;
  const std::string data(2 * kElements, '\0');
  std::string pickle =
      test::CheckpointWriter::map({{"a", test::CheckpointWriter::view("HalfStorage", "0", kElements)},
                                   {"b", test::CheckpointWriter::view("HalfStorage", "0", kElements)}});
  const auto path =
      folder.write("x", test::make_zip({{"m/data.pkl", "\x80\x02" + pickle + "."}, {"m/data/0", data}}));
  const Tensors read = read_all(path);
  EXPECT_EQ(read.at("a").size(), kElements);
  EXPECT_EQ(read.at("b").size(), kElements);
}

TEST(HostileZip, ADamagedStorageIsSeen) {
  const test::TempFolder folder;
  std::string zip = test::make_zip({{"m/data.pkl", pickle("0", 4, 4)}, {"m/data/0", "abcdefghijklmnop"}});
  zip[zip.find("abcdefgh")] ^= 1;
  const std::string path = folder.write("x", zip).string();
  EXPECT_THAT(error_of([&] { read_all(path); }), HasSubstr("ZIP bad CRC"));
  EXPECT_THAT(error_of([&] { read_all(path); }), HasSubstr("it is truncated or damaged: copy it again"));
}

// --- Any damage ------------------------------------------------------------------------------------------

std::vector<std::string> small_files() {
  Tensor t = Tensor::allocate(DType::F32, {2, 3});
  for (int i = 0; i < 6; ++i) t.as<float>()[i] = static_cast<float>(i);
  return {test::slurp(kData + "types.pth"), test::slurp(kData + "views.pth"),
          test::slurp(kData + "legacy.pth"), test::slurp(kData + "checkpoint.pth"),
          to_safetensors({{"a", t}, {"b", t}})};
}

TEST(Damage, EveryTruncationIsAnError) {
  const test::TempFolder folder;
  for (const std::string& whole : small_files())
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const auto path = fresh(folder, whole.substr(0, n));
      EXPECT_THROW(read_all(path), Error) << n << " of " << whole.size();
    }
}

/// The zip format has checksums: what is read in spite of a flipped bit is what was written. The others have
/// none, so numbers may differ; nothing else may happen.
TEST(Damage, FlippedBitsGiveAnErrorOrTheSameTensors) {
  const test::TempFolder folder;
  Random random(11);
  for (const std::string& whole : small_files()) {
    const bool has_checksums = whole.substr(0, 2) == "PK";
    const Tensors wanted = read_all(folder.write("whole", whole));
    int read = 0;
    for (int trial = 0; trial < 1500; ++trial) {
      std::string damaged = whole;
      const std::uint64_t flips = 1 + random.below(3);
      for (std::uint64_t i = 0; i < flips; ++i)
        damaged[random.below(damaged.size())] ^= static_cast<char>(1 << random.below(8));
      try {
        const Tensors got = read_all(fresh(folder, damaged));
        ++read;
        EXPECT_TRUE(!has_checksums || equal(got, wanted)) << trial;
      } catch (const Error&) {
      }
    }
    EXPECT_GT(read, 0);
    EXPECT_LT(read, 1500);
  }
}

TEST(Damage, AFileThatShrinksIsAnErrorAndNoCrash) {
  const test::TempFolder folder;
  const auto path = folder.write("x", test::slurp(kData + "legacy.pth"));
  const auto file = open_weights(path);
  std::filesystem::resize_file(path, 1000);
  EXPECT_THAT(error_of([&] { file->read({"whole"}); }),
              HasSubstr("is truncated, or shrank while it was read"));
}

// --- Memory ----------------------------------------------------------------------------------------------

/// How much memory an action takes at its peak, in bytes, in a process of its own.
std::int64_t peak_memory(const std::function<void()>& action) {
  int ends[2];
  if (::pipe(ends) != 0) return -1;
  const pid_t child = ::fork();
  if (child == 0) {
    const auto peak = [] {
      rusage usage{};
      ::getrusage(RUSAGE_SELF, &usage);
      return std::int64_t{usage.ru_maxrss} * 1024;
    };
    const std::int64_t before = peak();
    action();
    const std::int64_t taken = peak() - before;
    ::_exit(::write(ends[1], &taken, sizeof taken) == sizeof taken ? 0 : 1);
  }
  ::close(ends[1]);
  std::int64_t taken = -1;
  if (::read(ends[0], &taken, sizeof taken) != sizeof taken) taken = -1;
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return taken;
}

TEST(Memory, ReadingTakesNoMoreThanTwiceTheFile) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  const test::TempFolder folder;
  constexpr std::int64_t kMiB = 1 << 20, kSlack = 8 * kMiB;
  const auto measured = [&](const std::string& name, const std::string& content) {
    const auto path = folder.write(name, content);
    return peak_memory([&] { read_all(path); });
  };
  const std::string data(64 * kMiB, '\0');
  const auto header = [&](const char* type, std::int64_t elements) {
    return R"({"w":{"dtype":")"s + type + R"(","shape":[)" + std::to_string(elements) +
           R"(],"data_offsets":[0,)" + std::to_string(data.size()) + "]}}";
  };
  const std::int64_t single = measured("f32.safetensors", safetensors(header("F32", 16 * kMiB), data));
  EXPECT_GT(single, 60 * kMiB);
  EXPECT_LT(single, 64 * kMiB + kSlack);
  const std::int64_t half = measured("f16.safetensors", safetensors(header("F16", 32 * kMiB), data));
  EXPECT_GT(half, 120 * kMiB);
  EXPECT_LT(half, 128 * kMiB + kSlack);
  const std::int64_t zip = measured(
      "f32.pth", test::make_zip({{"m/data.pkl", pickle("0", 16 * kMiB, 16 * kMiB)}, {"m/data/0", data}}));
  EXPECT_GT(zip, 60 * kMiB);
  EXPECT_LT(zip, 64 * kMiB + kSlack);
}

TEST(Memory, HostileFilesTakeLittle) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  const test::TempFolder folder;
  const auto measured = [&](const std::string& content) {
    const auto path = folder.write("x", content);
    return peak_memory([&] { EXPECT_THROW(read_all(path), Error); });
  };
  std::string lists = "\x80\x02"s, names;
  for (int i = 0; i < 4'000'000; ++i) lists += ']';
  for (int i = 0; i < 200'000; ++i)
    names +=
        (i > 0 ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  EXPECT_LT(measured(test::make_zip({{"m/data.pkl", lists + "."}})), 64 << 20);
  EXPECT_LT(measured(safetensors("{" + names)), 64 << 20);
  EXPECT_LT(measured(safetensors("{\"a\":" + std::string(16'000'000, '['))), 64 << 20);
}

}  // namespace
}  // namespace graft::nn
