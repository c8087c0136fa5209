import Documents
import JSONText
import Search

/// What a person, or a program, sees of a plan that was computed again.
struct VerificationReport {
  let plan: Plan
  let verification: PlanVerification

  var text: String {
    let certificate = verification.certificate
    return """
      The plan holds: \(Format.seconds(plan.prediction.iterationSeconds)) an iteration, peak \
      \(Format.gigabytes(plan.prediction.peakBytes)), computed again from the plan alone.
      Searched again: \(Format.count(certificate.enumeratedCount)) strategies, none scores below \
      \(Format.seconds(certificate.lowerBoundSeconds)); the plan scores \(Format.seconds(plan.certificate.scoreSeconds)), \
      gap \(Format.percent(plan.certificate.gap)).

      """
  }

  var json: JSON {
    .object([
      JSONMember("holds", .boolean(verification.disagreements.isEmpty)),
      JSONMember(
        "disagreements",
        .array(
          verification.disagreements.map {
            .object([
              JSONMember("path", .string($0.path)), JSONMember("stated", .string($0.stated)),
              JSONMember("computed", .string($0.computed)),
            ])
          })),
      JSONMember("certificate", verification.certificate.json),
    ])
  }
}
