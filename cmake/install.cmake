# SPDX-License-Identifier: MIT
# What a user gets: headers, archives, CMake package with components, pkg-config files, dalctl and the schema scripts.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/dal)
set(dal_schema_dir ${CMAKE_INSTALL_DATADIR}/dal/schema)

install(TARGETS dal EXPORT dal-core
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT dal-core NAMESPACE dal:: DESTINATION ${package_dir})

# Relative, so that an installed tree can be moved.
file(RELATIVE_PATH DAL_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
set(DAL_PC_NAME dal)
set(DAL_PC_DESCRIPTION "Data access layer with transactions and sharding")
set(DAL_PC_REQUIRES "libcrypto >= 3")
set(DAL_PC_LIBS "-ldal -pthread")
configure_file(cmake/dal.pc.in dal.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/dal.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# name, pkg-config module of the client library
set(drivers)
if(DAL_DRIVER_SQLITE)
        list(APPEND drivers sqlite)
        set(sqlite_requires sqlite3)
endif()
if(DAL_DRIVER_POSTGRES)
        list(APPEND drivers postgres)
        set(postgres_requires libpq)
endif()
if(DAL_DRIVER_MYSQL)
        list(APPEND drivers mysql)
        set(mysql_requires ${DAL_MYSQL_CLIENT})
endif()
foreach(driver IN LISTS drivers)
        install(TARGETS dal_${driver} EXPORT dal-${driver}
                ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
        install(EXPORT dal-${driver} NAMESPACE dal:: DESTINATION ${package_dir})
        set(DAL_PC_NAME dal-${driver})
        set(DAL_PC_DESCRIPTION "The ${driver} driver of dal")
        set(DAL_PC_REQUIRES "dal = ${PROJECT_VERSION}, ${${driver}_requires}")
        set(DAL_PC_LIBS "-ldal_${driver}")
        configure_file(cmake/dal.pc.in dal-${driver}.pc @ONLY)
        install(FILES ${CMAKE_CURRENT_BINARY_DIR}/dal-${driver}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

configure_package_config_file(cmake/dal-config.cmake.in dal-config.cmake INSTALL_DESTINATION ${package_dir}
        PATH_VARS dal_schema_dir)
write_basic_package_version_file(dal-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/dal-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/dal-config-version.cmake
        DESTINATION ${package_dir})

if(TARGET dalctl)
        install(TARGETS dalctl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY schema/dal DESTINATION ${dal_schema_dir} FILES_MATCHING PATTERN *.sql)
