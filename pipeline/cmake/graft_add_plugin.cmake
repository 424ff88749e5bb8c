# graft_add_plugin(NAME SOURCES... [LIBRARIES ...] [TEST FILE] [INSPECTOR SOURCES... [INSPECTOR_LIBRARIES ...]])
#
# Builds NAME.so and, from its own descriptor, NAME.json: the schema that lets graft check and describe configs
# without loading the plugin. A mistake in the schema fails the build: a default outside its range, a port declared twice, an
# example that does not pass graft check. TEST is a GoogleTest source that uses graft/testing/stage_harness.h; it is built and
# registered with ctest unless BUILD_TESTING is off; a project that includes graft itself calls enable_testing(). INSPECTOR builds NAME.inspect, see graft/inspector.h.
function(graft_add_plugin name)
  cmake_parse_arguments(arg "" "TEST" "LIBRARIES;TEST_LIBRARIES;INSPECTOR;INSPECTOR_LIBRARIES" ${ARGN})
  if(NOT GRAFT_PLUGIN_OUTPUT_DIRECTORY)
    set(GRAFT_PLUGIN_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  endif()
  add_library(${name} MODULE ${arg_UNPARSED_ARGUMENTS})
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_link_libraries(${name} PRIVATE graft::core ${arg_LIBRARIES})
  # Where clang instruments for libFuzzer, what it calls is in the program that loads the plugin.
  set(complete "LINKER:--no-undefined")
  if(GRAFT_FUZZ)
    set(complete "")
  endif()
  set_target_properties(${name} PROPERTIES
    PREFIX "" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LIBRARY_OUTPUT_DIRECTORY ${GRAFT_PLUGIN_OUTPUT_DIRECTORY}
    INSTALL_RPATH "$ORIGIN/../.."
    LINK_OPTIONS "LINKER:--exclude-libs,ALL;${complete}")
  add_custom_command(TARGET ${name} POST_BUILD
    COMMAND graft::plugin_schema $<TARGET_FILE:${name}> ${GRAFT_PLUGIN_OUTPUT_DIRECTORY}/${name}.json
    VERBATIM)
  if(PROJECT_NAME STREQUAL "graft")
    install(TARGETS ${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/graft/plugins
            COMPONENT ${GRAFT_PLUGIN_COMPONENT})
    install(FILES ${GRAFT_PLUGIN_OUTPUT_DIRECTORY}/${name}.json
            DESTINATION ${CMAKE_INSTALL_LIBDIR}/graft/plugins COMPONENT ${GRAFT_PLUGIN_COMPONENT})
  endif()
  if(arg_INSPECTOR)
    add_library(${name}_inspector MODULE ${arg_INSPECTOR})
    target_compile_features(${name}_inspector PRIVATE cxx_std_20)
    target_link_libraries(${name}_inspector PRIVATE graft::core ${arg_INSPECTOR_LIBRARIES})
    set_target_properties(${name}_inspector PROPERTIES
      PREFIX "" OUTPUT_NAME ${name} SUFFIX ".inspect" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
      LIBRARY_OUTPUT_DIRECTORY ${GRAFT_PLUGIN_OUTPUT_DIRECTORY}
      INSTALL_RPATH "$ORIGIN/../.."
      LINK_OPTIONS "LINKER:--exclude-libs,ALL;LINKER:--no-undefined")
    add_dependencies(${name} ${name}_inspector)
    if(PROJECT_NAME STREQUAL "graft")
      install(TARGETS ${name}_inspector LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/graft/plugins
              COMPONENT ${GRAFT_PLUGIN_COMPONENT})
    endif()
  endif()
  set(with_test ${GRAFT_TESTS})
  if(NOT PROJECT_NAME STREQUAL "graft" AND (BUILD_TESTING OR NOT DEFINED BUILD_TESTING))
    set(with_test ON)
  endif()
  if(arg_TEST AND with_test)
    find_package(GTest QUIET)
    if(NOT GTest_FOUND AND NOT BUILD_TESTING AND NOT GRAFT_TESTS)  # nobody has asked for tests
      message(STATUS "${name}: no GoogleTest, so no test (Debian: libgtest-dev libgmock-dev)")
      return()
    endif()
    find_package(GTest REQUIRED)
    add_executable(${name}_test ${arg_TEST})
    target_link_libraries(${name}_test PRIVATE graft::testing GTest::gmock GTest::gtest_main
                          ${arg_TEST_LIBRARIES})
    target_compile_options(${name}_test PRIVATE $<$<CONFIG:Release>:-O1>)
    target_compile_definitions(${name}_test PRIVATE
      GRAFT_TEST_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    add_dependencies(${name}_test ${name})
    add_test(NAME plugin.${name} COMMAND ${name}_test)
    set_tests_properties(plugin.${name} PROPERTIES
      ENVIRONMENT_MODIFICATION
      "GRAFT_PLUGIN_PATH=path_list_prepend:${GRAFT_PLUGIN_OUTPUT_DIRECTORY}")
  endif()
endfunction()
