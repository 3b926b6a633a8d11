Passengers on the evening ferry went round in a circle for three hours on Sunday and have asked for the trip to be added to the timetable.

The Persistence left Lower Pell at six for Cormorant Island, a crossing of twenty-five minutes. Fog came down as she cleared the breakwater. Her compass, which is older than the ship, pointed for a time at the captain.

Captain Dilys Munro, 60, decided to keep turning gently until something appeared. There were thirty-one people aboard, including a class of life-drawing students and their model.

"You couldn't see a thing, so everybody talked," said passenger Howard Bright, a dentist. He had sat beside the same woman on that boat for four years and learned only on Sunday that her name was Jean.

By the second hour somebody had started a song. By the third they had elected a government.

When the fog lifted, the ferry was found to be eighty yards from where she had set out. Several of the passengers asked the captain not to mention it.

Fog trips will run on the first Sunday of the month. If there is no fog, travellers will be asked to shut their eyes.

@highlight

The ferry Persistence circled in fog for three hours on Sunday evening

@highlight

Passengers sang, made friends and elected a government while they waited

@highlight

Monthly fog trips are now planned because travellers enjoyed it so much
