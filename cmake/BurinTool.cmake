# The burin command, from src/tools/*.cpp, and the target that runs its demonstration.

file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/tools/*.cpp")
if(sources)
  add_executable(burin_tool ${sources})
  set_target_properties(burin_tool PROPERTIES OUTPUT_NAME burin)
  target_compile_definitions(burin_tool PRIVATE BURIN_VERSION="${PROJECT_VERSION}"
    BURIN_DEMO_MODEL="${PROJECT_SOURCE_DIR}/tests/data/demo/demo.onnx")
  target_link_libraries(burin_tool PRIVATE
    burin_internal CLI11::CLI11 nlohmann_json::nlohmann_json)
  install(TARGETS burin_tool)

  add_custom_target(demo
    COMMAND burin_tool demo
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    USES_TERMINAL VERBATIM
    COMMENT "burin demo")
endif()
