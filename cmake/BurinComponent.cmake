# Components, and the libraries that are made of them.
#
# A component is a folder under src/, compiled once into an OBJECT library burin_<name>. A folder
# without sources (yet), and a component that this machine does not have (codegen_x64 elsewhere than
# on x86-64), count as empty. Sources need no list: new files are found at the next build.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# burin_component(<name> [DIR <folder under src>] [DEPENDS <component>...] [LINK <target>...])
#
# All sources of the folder and its subfolders, without subfolders that are components themselves
# (BURIN_NESTED_COMPONENTS).
set(BURIN_NESTED_COMPONENTS codegen/x64 codegen/aarch64 frontend/file)

function(burin_component name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "DIR" "DEPENDS;LINK")
  if(NOT arg_DIR)
    set(arg_DIR ${name})
  endif()

  set_property(GLOBAL APPEND PROPERTY BURIN_COMPONENTS ${name})
  set_property(GLOBAL PROPERTY BURIN_${name}_DEPENDS "${arg_DEPENDS}")
  set_property(GLOBAL PROPERTY BURIN_${name}_LINK "${arg_LINK}")

  set(folder "${PROJECT_SOURCE_DIR}/src/${arg_DIR}")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${folder}/*.cpp")
  foreach(nested IN LISTS BURIN_NESTED_COMPONENTS)
    if(NOT nested STREQUAL arg_DIR)
      list(FILTER sources EXCLUDE REGEX "/src/${nested}/")
    endif()
  endforeach()
  if(NOT sources)
    return()
  endif()

  add_library(burin_${name} OBJECT ${sources})
  target_include_directories(burin_${name} PRIVATE
    "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
  burin_closure(components links ${name})
  target_link_libraries(burin_${name} PRIVATE burin_options ${links})
endfunction()

# The given components with all that they depend on, and the third-party targets of all these.
function(burin_closure components_var links_var)
  set(open ${ARGN})
  set(closed "")
  set(links "")
  while(open)
    list(POP_FRONT open name)
    if(name IN_LIST closed)
      continue()
    endif()
    list(APPEND closed ${name})
    get_property(depends GLOBAL PROPERTY BURIN_${name}_DEPENDS)
    get_property(link GLOBAL PROPERTY BURIN_${name}_LINK)
    list(APPEND open ${depends})
    list(APPEND links ${link})
  endwhile()
  list(REMOVE_DUPLICATES links)
  set(${components_var} "${closed}" PARENT_SCOPE)
  set(${links_var} "${links}" PARENT_SCOPE)
endfunction()

# Gives a target the objects of components and of all that they depend on, their third-party
# libraries, and sight of internal headers. SCOPE is PRIVATE, or INTERFACE for an interface library.
function(burin_use_components target scope)
  burin_closure(components links ${ARGN})
  foreach(name IN LISTS components)
    if(TARGET burin_${name})
      target_sources(${target} ${scope} $<TARGET_OBJECTS:burin_${name}>)
    endif()
  endforeach()
  target_include_directories(${target} ${scope}
    "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(${target} ${scope} burin_options ${links})
endfunction()

function(burin_internal_library target)
  get_property(all GLOBAL PROPERTY BURIN_COMPONENTS)
  add_library(${target} INTERFACE)
  burin_use_components(${target} INTERFACE ${all})
endfunction()

# burin_library(<name> COMPONENTS <component>...): the libraries to install, <name> (shared) and
# <name>_static, with the CMake package.
function(burin_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "COMPONENTS")
  burin_closure(components links ${arg_COMPONENTS})
  set(objects "")
  foreach(component IN LISTS components)
    if(TARGET burin_${component})
      list(APPEND objects $<TARGET_OBJECTS:burin_${component}>)
    endif()
  endforeach()
  if(NOT objects)
    return()
  endif()

  add_library(${name} SHARED ${objects})
  add_library(${name}_static STATIC ${objects})
  foreach(library IN ITEMS ${name} ${name}_static)
    add_library(${name}::${library} ALIAS ${library})
    set_target_properties(${library} PROPERTIES LINKER_LANGUAGE CXX OUTPUT_NAME ${name})
    target_compile_features(${library} PUBLIC cxx_std_20)
    target_include_directories(${library} PUBLIC
      "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
      "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
    target_link_libraries(${library} PRIVATE ${links})
  endforeach()
  # Before 1.0 each minor version may change the binary interface.
  set_target_properties(${name} PROPERTIES
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  if(NOT BURIN_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,--no-undefined)
  endif()

  # Two export sets: who links the shared library need not have Burin's own dependencies installed.
  set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/${name}")
  install(TARGETS ${name} EXPORT ${name}Targets)
  install(TARGETS ${name}_static EXPORT ${name}StaticTargets)
  install(EXPORT ${name}Targets NAMESPACE ${name}:: DESTINATION ${package_dir})
  install(EXPORT ${name}StaticTargets NAMESPACE ${name}:: DESTINATION ${package_dir})
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/${name}" TYPE INCLUDE)
  install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" TYPE DOC)
  configure_package_config_file(
    "${PROJECT_SOURCE_DIR}/cmake/${name}Config.cmake.in"
    "${PROJECT_BINARY_DIR}/${name}Config.cmake"
    INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
  write_basic_package_version_file(
    "${PROJECT_BINARY_DIR}/${name}ConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
  install(FILES "${PROJECT_BINARY_DIR}/${name}Config.cmake"
                "${PROJECT_BINARY_DIR}/${name}ConfigVersion.cmake"
          DESTINATION ${package_dir})
endfunction()
