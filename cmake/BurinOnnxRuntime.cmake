# libburin_onnxruntime.so, the execution provider for ONNX Runtime (docs/onnxruntime.md).
#
# It needs ONNX Runtime's C headers and nothing else of it. They are looked for on the system, then
# fetched into the build folder (cmake/fetch-onnxruntime-headers.sh). Where neither gives them, the
# provider is not built, and the rest is.

set(BURIN_ONNXRUNTIME_MINIMUM 1.24)  # the C interface that src/plugins/onnxruntime/api.h asks for

function(burin_onnxruntime_headers_version folder version_var)
  set(version 0)
  if(EXISTS "${folder}/onnxruntime_ep_c_api.h")
    file(STRINGS "${folder}/onnxruntime_c_api.h" line REGEX "^#define ORT_API_VERSION ")
    string(REGEX REPLACE "[^0-9]+" "" version "${line}")
  endif()
  set(${version_var} "1.${version}" PARENT_SCOPE)
endfunction()

find_path(BURIN_ONNXRUNTIME_INCLUDE onnxruntime_ep_c_api.h PATH_SUFFIXES onnxruntime
          DOC "Folder of onnxruntime_c_api.h and onnxruntime_ep_c_api.h")
set(include "${BURIN_ONNXRUNTIME_INCLUDE}")
burin_onnxruntime_headers_version("${include}" version)
set(words "An attempt to fetch them has failed before; to try again, configure with -UBURIN_ONNXRUNTIME_NOT_FETCHED.")
if(version VERSION_LESS BURIN_ONNXRUNTIME_MINIMUM AND
   NOT BURIN_ONNXRUNTIME_NOT_FETCHED STREQUAL BURIN_ONNXRUNTIME_MINIMUM)
  set(fetched "${PROJECT_BINARY_DIR}/onnxruntime")
  set(include "${fetched}/include")
  execute_process(
    COMMAND "${PROJECT_SOURCE_DIR}/cmake/fetch-onnxruntime-headers.sh" "${fetched}" ${BURIN_ONNXRUNTIME_MINIMUM}
    RESULT_VARIABLE result ERROR_VARIABLE words ERROR_STRIP_TRAILING_WHITESPACE)
  burin_onnxruntime_headers_version("${include}" version)
  if(version VERSION_LESS BURIN_ONNXRUNTIME_MINIMUM)
    # Without a network it takes a while, and each configuration would wait again.
    set(BURIN_ONNXRUNTIME_NOT_FETCHED ${BURIN_ONNXRUNTIME_MINIMUM}
        CACHE INTERNAL "The version that could not be fetched")
  endif()
endif()
if(version VERSION_LESS BURIN_ONNXRUNTIME_MINIMUM)
  message(WARNING "The execution provider for ONNX Runtime is not built: there are no C headers of ONNX Runtime "
                  "${BURIN_ONNXRUNTIME_MINIMUM} or newer.\n${words}\n"
                  "Set BURIN_ONNXRUNTIME_INCLUDE to a folder that has them, or BURIN_BUILD_ONNXRUNTIME=OFF.")
  return()
endif()
message(STATUS "Headers of ONNX Runtime ${version}: ${include}")

add_library(onnxruntime_headers INTERFACE)
target_include_directories(onnxruntime_headers SYSTEM INTERFACE "${include}")
burin_component(onnxruntime DIR plugins/onnxruntime DEPENDS runtime frontend LINK $<BUILD_INTERFACE:onnxruntime_headers>)
target_compile_definitions(burin_onnxruntime PRIVATE BURIN_VERSION="${PROJECT_VERSION}")

# The library: all that it needs of Burin is in it, and hidden.
set(exports "${PROJECT_SOURCE_DIR}/src/plugins/onnxruntime/exports.map")
add_library(burin_onnxruntime_plugin MODULE)
burin_use_components(burin_onnxruntime_plugin PRIVATE onnxruntime)
set_target_properties(burin_onnxruntime_plugin PROPERTIES
  OUTPUT_NAME burin_onnxruntime LINKER_LANGUAGE CXX LINK_DEPENDS "${exports}")
target_link_options(burin_onnxruntime_plugin PRIVATE "-Wl,--version-script=${exports}")
install(TARGETS burin_onnxruntime_plugin LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
