// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

// Optimised in debug builds too: what tests wait for. SwiftPM refuses a versioned dependency that has such flags,
// so the package leaves them out where SwiftPM has checked it out for another.
let isDependency = Context.packageDirectory.contains("/checkouts/")
let optimised = settings + (isDependency ? [] : [.unsafeFlags(["-O"], .when(configuration: .debug))])

// Floors, ground floor first: a target imports only from floors below its own (docs/architecture.md).
let package = Package(
  name: "sextant",
  products: [
    .library(name: "Sextant", targets: ["Sextant"]),
    .executable(name: "sextant", targets: ["SextantCommand"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "3.12.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // Floor 0: the two C libraries.
    .systemLibrary(name: "CJSONC", pkgConfig: "json-c", providers: [.apt(["libjson-c-dev"])]),
    .systemLibrary(name: "CGLPK", providers: [.apt(["libglpk-dev"])]),

    // Floor 1: strict JSON text; mixed-integer programs as values.
    .target(name: "JSONText", dependencies: ["CJSONC"], swiftSettings: optimised),
    .target(name: "IntegerProgramming", dependencies: ["CGLPK"], swiftSettings: settings),

    // Floor 2: the nouns, every file kind with its checks and its codec.
    .target(name: "Documents", dependencies: ["JSONText"], swiftSettings: optimised),

    // Floor 3: what a rank does in an iteration, as lists: schedules, collectives, programs.
    .target(name: "Training", dependencies: ["Documents"], swiftSettings: optimised),

    // Floor 4: seconds and bytes of a strategy on a cluster.
    .target(name: "Costing", dependencies: ["Documents", "JSONText", "Training"], swiftSettings: optimised),

    // Floor 4: measured links, by our own tools and from the outputs of others.
    .target(
      name: "Profiling",
      dependencies: [
        "Documents", "JSONText",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: settings),

    // Floor 5: the best plan with a bound, or the reason why there is none.
    .target(
      name: "Search", dependencies: ["Documents", "Training", "Costing", "IntegerProgramming"],
      swiftSettings: optimised),

    // Floor 5: a plan's programs run, in miniature on numbers and at full size on a clock.
    .target(
      name: "Execution",
      dependencies: [
        "Documents", "JSONText", "Training", "Costing", .product(name: "HeapModule", package: "swift-collections"),
      ],
      swiftSettings: optimised),

    // Floor 5: a plan as the files of a framework and a launcher, and the way back.
    .target(
      name: "Launch",
      dependencies: ["Documents", "JSONText", "Training", .product(name: "Yams", package: "Yams")],
      swiftSettings: settings),

    // Floor 6: the front door, which programs and the command share.
    .target(
      name: "Sextant",
      dependencies: ["Documents", "JSONText", "Costing", "Profiling", "Search", "Execution", "Launch"],
      swiftSettings: settings),

    // Floor 7: the command line, `sextant`.
    .executableTarget(
      name: "SextantCommand",
      dependencies: [
        "Sextant", "Documents", "JSONText", "Costing", "Profiling", "Search", "Execution", "Launch",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),

    // Measures the figures of docs/measurements.md; never a test.
    .executableTarget(
      name: "Benchmarks",
      dependencies: [
        "Documents", "Training", "Costing", "Execution", "Launch", "Profiling", "Search",
        .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      swiftSettings: settings),

    .target(
      name: "TestSupport", dependencies: ["Costing", "Documents", "JSONText"], path: "Tests/TestSupport",
      swiftSettings: optimised),
    // Second accounts in textbook form, which tests compare the product with.
    .target(
      name: "Oracles", dependencies: ["Documents", "Training", "Costing"], path: "Tests/Oracles",
      swiftSettings: settings),
    .testTarget(name: "JSONTextTests", dependencies: ["JSONText", "TestSupport"], swiftSettings: settings),
    .testTarget(
      name: "IntegerProgrammingTests", dependencies: ["IntegerProgramming", "TestSupport"], swiftSettings: settings),
    .testTarget(
      name: "DocumentsTests", dependencies: ["Documents", "JSONText", "TestSupport"], exclude: ["Inputs"],
      swiftSettings: settings),
    .testTarget(
      name: "TrainingTests", dependencies: ["Documents", "Training", "TestSupport"], swiftSettings: settings),
    .testTarget(
      name: "CostingTests", dependencies: ["Costing", "Documents", "JSONText", "Training", "Oracles", "TestSupport"],
      exclude: ["Inputs"], swiftSettings: settings),
    .testTarget(
      name: "SearchTests", dependencies: ["Search", "Costing", "Documents", "JSONText", "TestSupport"],
      exclude: ["Inputs"], swiftSettings: settings),
    .testTarget(
      name: "ExecutionTests",
      dependencies: ["Execution", "Costing", "Documents", "JSONText", "Training", "Search", "Oracles", "TestSupport"],
      swiftSettings: settings),
    .testTarget(
      name: "LaunchTests",
      dependencies: [
        "Launch", "Documents", "JSONText", "Costing", "Search", "TestSupport", .product(name: "Yams", package: "Yams"),
      ],
      exclude: ["Inputs"], swiftSettings: settings),
    .testTarget(
      name: "GoldenTests",
      dependencies: ["Documents", "JSONText", "Training", "Costing", "Search", "Execution", "TestSupport"],
      exclude: ["Inputs", "Recorded"], swiftSettings: optimised),
    .testTarget(
      name: "ProfilingTests", dependencies: ["Profiling", "Documents", "JSONText", "TestSupport"],
      swiftSettings: settings),
    // The example for users, as their compiler sees it: without what only this package may use.
    .executableTarget(
      name: "PlanInSwift", dependencies: ["Sextant"], path: "docs/examples/plan-in-swift/Sources/PlanInSwift",
      packageAccess: false, swiftSettings: settings),
    .testTarget(
      name: "SextantTests", dependencies: ["Sextant", "PlanInSwift", "TestSupport"], swiftSettings: settings),
    .testTarget(
      name: "CommandLineTests", dependencies: ["SextantCommand", "Documents", "JSONText", "TestSupport"],
      exclude: ["Inputs"], swiftSettings: settings),
  ]
)
