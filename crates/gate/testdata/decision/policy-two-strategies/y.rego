package plimsoll.y

strategy := "rolling"
