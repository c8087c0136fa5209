// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "plan-in-swift",
  dependencies: [.package(name: "sextant", path: "../../..")],
  targets: [
    .executableTarget(name: "PlanInSwift", dependencies: [.product(name: "Sextant", package: "sextant")])
  ]
)
