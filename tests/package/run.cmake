# Installs a build of Burin below a folder of that build, then configures, builds and runs the
# project in this folder against what was installed.
#
#   cmake -DBUILD_DIR=<of Burin> -DWORK_DIR=<scratch> -DCONFIG=Release -DGENERATOR=Ninja
#         -DCXX_COMPILER=... -DCXX_FLAGS=... -P run.cmake

set(prefix "${WORK_DIR}/prefix")
set(project_build "${WORK_DIR}/build")

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}: ${result}")
  endif()
endfunction()

# What an earlier run left must not help this one.
file(REMOVE_RECURSE "${WORK_DIR}")
set(configuration "")
if(CONFIG)
  set(configuration --config "${CONFIG}")
endif()
run("${CMAKE_COMMAND}" --install "${BUILD_DIR}" --prefix "${prefix}" ${configuration})

# No list of prefixes from the build: the package has to get along with what the machine offers.
run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}" -B "${project_build}" -G "${GENERATOR}"
    "-DCMAKE_PREFIX_PATH=${prefix}" "-DCMAKE_CXX_COMPILER=${CXX_COMPILER}"
    "-DCMAKE_CXX_FLAGS=${CXX_FLAGS}" "-DCMAKE_BUILD_TYPE=${CONFIG}"
    "-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF")
run("${CMAKE_COMMAND}" --build "${project_build}" ${configuration})

find_program(plugin plugin PATHS "${project_build}" "${project_build}/${CONFIG}"
             NO_DEFAULT_PATH REQUIRED)
run("${plugin}")
