import JSONText
import TestSupport
import Testing

@testable import Documents

/// What formats of products change, and which of them may be chosen.
@Suite struct ProductFormatErrorTests {
  /// Of floating-point numbers a closed form; of E2M1 its table, with what a hundred million samples gave to three places.
  @Test func errorsAreThoseOfTheFormats() {
    #expect(abs(ProductFormatError.e4m3 - 0.0265413) < 1e-6 && abs(ProductFormatError.e5m2 - 0.0530825) < 1e-6)
    #expect(abs(ProductFormatError.e2m1 - 0.095) < 5e-4)
    #expect(abs(ProductFormatError.e2m1Squares - 0.111) < 5e-4)
    #expect(abs(ProductFormatError.e2m1ByChance - 0.137) < 5e-4)
    #expect(Precision.bf16.productError == 0 && Precision.tf32.productError == 0)
    #expect(Precision.nvfp4.productError == ProductFormatError.e2m1ByChance)
    // A bit more of the fraction halves the error.
    #expect(Precision.fp8Current.productError == 2 * Precision.mxfp8.productError)
  }

  private static func choices(
    _ tolerance: Double?, on devices: [String], of own: Precision = .bf16, for framework: String? = nil
  ) throws -> [Precision] {
    let catalog = Catalog(root: Checkout.root)
    let job = try TrainingJob(
      model: catalog.model("llama-3-8b"), sequenceLength: 4_096, globalBatch: 64, precision: own)
    let profiles = try devices.map { try catalog.device($0) }
    return Precision.allCases.filter {
      Allowance(quantisationTolerance: nil, productTolerance: tolerance).exclusion(
        of: $0, job: job, devices: profiles, capabilities: framework.flatMap(Capabilities.named)) == nil
    }
  }

  @Test func toleranceDevicesAndFrameworksExcludeFormats() throws {
    let b200 = ["b200-sxm-180gb"], h100 = ["h100-sxm5-80gb"], a100 = ["a100-sxm4-80gb"]
    #expect(try Self.choices(nil, on: b200) == [.bf16])
    #expect(try Self.choices(0.026, on: b200) == [.bf16])
    #expect(try Self.choices(0.03, on: b200) == [.bf16, .mxfp8])
    #expect(try Self.choices(0.06, on: b200) == [.bf16, .fp8Delayed, .fp8Current, .mxfp8])
    #expect(try Self.choices(0.15, on: b200) == [.bf16, .fp8Delayed, .fp8Current, .mxfp8, .nvfp4])
    #expect(try Self.choices(1, on: h100) == [.bf16, .fp8Delayed, .fp8Current, .fp8Blockwise])
    #expect(try Self.choices(1, on: a100) == [.bf16])
    // All devices of a cluster have to.
    #expect(try Self.choices(1, on: b200 + h100) == [.bf16, .fp8Delayed, .fp8Current])
    #expect(try Self.choices(1, on: h100 + a100) == [.bf16])
    #expect(try Self.choices(1, on: b200, for: "torchtitan") == [.bf16, .fp8Current, .mxfp8])
    #expect(try Self.choices(1, on: b200, for: "deepspeed") == [.bf16])
    // Other jobs' precisions are their own.
    for own in [Precision.fp16, .fp32, .mxfp8] { #expect(try Self.choices(1, on: b200, of: own) == [own]) }
  }

  @Test func aPlanSaysWhatWasStatedAndWhatWasChosen() throws {
    let plan = try exampleNarrowPlan()
    #expect(plan.question.job.precision == .bf16 && plan.job.precision == .mxfp8)
    let read = try Plan(Field(plan.json, source: "plan"))
    #expect(read == plan && read.job.precision == .mxfp8)
    #expect(
      plan.json.member("precision") == .string("mxfp8")
        && plan.json.member("job")?.member("precision") == .string("bf16"))
    let decision = try #require(plan.decisions.first { $0.name == "precision" })
    #expect(decision.effect == .numericallyDifferent && decision.relativeError == 0.0265)
  }

  @Test(arguments: [
    ("/precision", JSON.string("nvfp4"), "/precision: nvfp4 cannot be chosen: its relative error of 0.1367"),
    ("/precision", .string("fp16"), "/precision: fp16 cannot be chosen"),
    ("/precision", .null, "low-precision is allowed, but precision is missing"),
    ("/precision", .string("fp8"), "/precision: expected one of"),
    ("/alternatives/0/precision", .string("nvfp4"), "/alternatives/0/precision: nvfp4 cannot be chosen"),
    ("/question/allowed", .null, "/precision: it is the job's own: low-precision is not allowed"),
    ("/question/allowed/tolerance", .number(0.01), "/precision: mxfp8 cannot be chosen"),
    ("/question/allowed/tolerance", .null, "/question/allowed/tolerance: expected a fraction"),
    ("/job/precision", .string("fp16"), "and the job is in fp16"),
    ("/job/precision", .string("mxfp8"), "and the job is in mxfp8"),
  ])
  func whatCannotBeChosenIsRefused(pointer: String, value: JSON, complaint: String) throws {
    let edited = try exampleNarrowPlan().json.replacing(pointer, with: value)
    let error = #expect(throws: DocumentError.self) { _ = try Plan(Field(edited, source: "plan")) }
    #expect("\(try #require(error))".contains(complaint), "\(String(describing: error))")
  }

  @Test func ofSeveralTolerancesTheLeastHolds() {
    let both = Allowance(quantisationTolerance: 0.2, productTolerance: 0.06)
    #expect(both.quantisationTolerance == 0.06 && both.productTolerance == 0.06)
    #expect(both.methods == [.zeroPlusPlus, .lowPrecision])
  }
}
